"""Servers and the real relay: state and traffic move together, under load, with nothing lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.handover.serving_clients import closed_loop, connection_to, get
from tests.handover.serving_servers import COMMANDS, HERE, Servers, SharedPort, servers_for_a_test, until
from tests.handover.serving_supervisor import Supervisor

STARLETTE = [*COMMANDS["run-asgi"][:3], f"{HERE}.serving_starlette_app:app", "--no-access-log"]


@pytest.fixture
def port() -> Iterator[SharedPort]:
    port = SharedPort()
    yield port
    port.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    with servers_for_a_test() as servers:
        yield servers


@pytest.mark.parametrize("kind", ["uvicorn", "run-asgi", "gunicorn-gthread"])
async def test_a_counter_loses_no_increment_while_generations_replace_each_other(
    kind: str, port: SharedPort, servers: Servers
) -> None:
    """Three handovers and one that is given up; every value of the counter is answered once."""
    supervisor = Supervisor(servers, port, servers.directory)
    await supervisor.start(kind, 1)
    async with closed_loop(port.port, 6, "/count") as tally:
        for old in (1, 2, 3):
            await supervisor.start(kind, old + 1)
            if old == 2:
                await supervisor.quiesce(old)
                await supervisor.resume(old)
            before = tally.total
            await supervisor.quiesce(old)
            await supervisor.move(old, old + 1)
            await until(lambda: tally.total > before + 50)  # noqa: B023 - used within the round
            await supervisor.end(old)
    assert tally.failures == [], supervisor.running[4].log
    assert max(tally.answered.values()) == 1
    # A client that was stopped while it waited may have been counted without reading its answer.
    last = max(int(value) for value in tally.answered)
    assert 0 <= last - tally.total <= 6
    supervisor.close()


async def test_work_for_the_holder_of_the_lease_runs_in_one_generation_and_never_while_the_state_moves(
    port: SharedPort, servers: Servers
) -> None:
    supervisor = Supervisor(servers, port, servers.directory)
    old = await supervisor.start(STARLETTE, 1)
    await until(lambda: old.ask("count running") == "1")
    assert "the queue is gone" in old.log
    new = await supervisor.start(STARLETTE, 2)
    assert new.ask("count started") == "0"
    await supervisor.quiesce(1)
    assert old.ask("count running") == "0"
    await supervisor.resume(1)
    await until(lambda: old.ask("count running") == "1")
    await supervisor.quiesce(1)
    await supervisor.move(1, 2)
    await until(lambda: new.ask("count running") == "1")
    assert old.ask("count running") == "0"
    assert old.ask("count started") == "2"
    assert (await get(port.port, "/")).body == b"hello"
    await supervisor.end(1)
    supervisor.close()


async def test_an_event_stream_of_a_framework_does_not_hold_the_state_up(port: SharedPort, servers: Servers) -> None:
    supervisor = Supervisor(servers, port, servers.directory)
    await supervisor.start(STARLETTE, 1)
    async with connection_to(port.port) as connection:
        await connection.send("/sse")
        await connection.head()
        parts = connection.parts()
        assert await anext(parts) == b"data: hello\n\n"
        await supervisor.quiesce(1, lame_duck_ms=10_000)
        assert [part async for part in parts] == [b"retry: 1000\n\n"]
    assert "Traceback" not in supervisor.running[1].log.split("the queue is gone")[-1]
    supervisor.close()
