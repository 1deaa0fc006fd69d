"""Flow control end to end: a running server and a worker, asked over gRPC and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.flow.asking import Grpc, Http
from tests.server.world import World, served_in

HOUR_US = 3_600_000_000
EVERY_SECOND = ["* * * * * *"]
Way = Grpc | Http


@pytest.fixture(params=[Grpc, Http], ids=["grpc", "http"])
def way(request: pytest.FixtureRequest) -> Callable[[World], Way]:
    """How it is asked."""
    return request.param


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(30):
        while not (found := await condition()):
            pass
        return found


async def runs(world: World, **query: Any) -> list[dict[str, Any]]:
    """Oldest first."""
    answer = await world.http.get("/api/workflows", params={"limit": 1_000, **query})
    return list(reversed(answer.json()["runs"]))


async def started(world: World, prefix: str) -> list[str]:
    return [run["id"] for run in await runs(world) if run["id"].startswith(prefix)]


async def waiting(world: World, *run_ids: str) -> None:
    """These runs have begun, and wait for their signal."""

    async def all_wait() -> bool:
        return {run["id"] for run in await runs(world) if run["detail"] == "waiting_signal"} >= set(run_ids)

    await until(all_wait)


async def end(world: World, run_id: str) -> None:
    await world.http.post(f"/api/workflows/{run_id}/signal", json={"name": "name", "payload": "x"})
    assert (await world.http.get(f"/api/workflows/{run_id}/result")).status_code == 200


async def why(world: World, run_id: str) -> str:
    return str((await world.http.get(f"/api/workflows/{run_id}/why")).json()["why"]["kind"])


async def test_a_queue_lets_so_many_run_and_a_pause_none(tmp_path: Path, way: Callable[[World], Way]) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        await ask.put_queue("q", concurrency=1)
        for name in "ab":
            await ask.start("asked", name, "hi", queue="q")
        await waiting(world, "a")
        assert (await ask.queue("q"), await why(world, "b")) == ((1, 1), "concurrency")
        await ask.pause_queue("q", is_paused=True)
        await end(world, "a")
        assert (await ask.queue("q"), await why(world, "b")) == ((1, 0), "queue_paused")
        await ask.pause_queue("q", is_paused=False)
        await waiting(world, "b")


async def test_each_share_of_a_queue_has_its_own_limit(tmp_path: Path, way: Callable[[World], Way]) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        await ask.put_queue("q", concurrency_per_share=1)
        for name, share in (("a1", "a"), ("a2", "a"), ("b1", "b")):
            await ask.start("asked", name, "hi", queue="q", share=share)
        await waiting(world, "a1", "b1")
        assert (await ask.queue("q"), await why(world, "a2")) == ((1, 2), "concurrency")
        await end(world, "a1")
        await waiting(world, "a2")


async def test_a_rate_lets_so_many_start(tmp_path: Path, way: Callable[[World], Way]) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        await ask.put_queue("q", rate=2, rate_period_us=HOUR_US, burst=2)
        for name in "abc":
            await ask.start("doubled", name, 1, queue="q")
        for name in "ab":
            assert (await world.http.get(f"/api/workflows/{name}/result")).status_code == 200
        assert (await ask.queue("q"), await why(world, "c")) == ((1, 0), "rate")


async def test_the_lower_number_starts_first(tmp_path: Path, way: Callable[[World], Way]) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        await ask.put_queue("q", concurrency=1)
        await ask.pause_queue("q", is_paused=True)
        for name, priority in (("last", 5), ("second", 0), ("first", -1)):
            await ask.start("doubled", name, 1, queue="q", priority=priority)
        await ask.pause_queue("q", is_paused=False)
        for name in ("last", "second", "first"):
            assert (await world.http.get(f"/api/workflows/{name}/result")).status_code == 200
        ended = sorted(await runs(world), key=lambda run: run["finished_us"])
        assert [run["id"] for run in ended] == ["first", "second", "last"]


async def test_a_singleton_is_found_a_debounced_start_waits_on_and_a_delay_is_kept(
    tmp_path: Path, way: Callable[[World], Way]
) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        assert await ask.start("asked", "one", "hi", singleton="s") == "one"
        assert await ask.start("asked", "two", "hi", singleton="s") == "one"
        bounced = {"singleton": "d", "debounce": True}
        assert await ask.start("doubled", "early", 1, delay_us=HOUR_US, **bounced) == "early"
        assert await ask.start("doubled", "late", 2, delay_us=1_000, **bounced) == "early"
        # The second call moved the start of the first to its own time.
        assert (await world.http.get("/api/workflows/early/result")).status_code == 200
        await ask.start("doubled", "delayed", 1, delay_us=HOUR_US)
        assert await why(world, "delayed") == "delayed"
        assert [run["id"] for run in await runs(world, state="PENDING")] == ["delayed"]


async def test_cron_fires_pauses_and_is_triggered(tmp_path: Path, way: Callable[[World], Way]) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        await ask.put_schedule("tick", "doubled", 1, cron=EVERY_SECOND)
        fired = await until(lambda: started(world, "tick@"))
        assert (await world.http.get(f"/api/workflows/{fired[0]}/result")).json()["result"] == 2
        await ask.pause_schedule("tick", is_paused=True)
        before = await started(world, "tick@")
        triggered = await ask.trigger("tick")
        # The trigger is the only thing that starts a run while it is paused.
        assert set(await started(world, "tick@")) - {triggered} == set(before)
        await ask.pause_schedule("tick", is_paused=False)
        await until(lambda: _more(world, len(before) + 1))


async def _more(world: World, count: int) -> bool:
    return len(await started(world, "tick@")) > count


async def test_a_run_that_goes_on_is_not_started_beside_itself_unless_that_is_allowed(
    tmp_path: Path, way: Callable[[World], Way]
) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        await ask.put_schedule("skip", "asked", "hi", cron=EVERY_SECOND, overlap="skip")
        await ask.put_schedule("all", "asked", "hi", cron=EVERY_SECOND, overlap="allow_all")
        await until(lambda: _at_least(world, "all@", 3))
        assert len(await started(world, "skip@")) == 1


async def _at_least(world: World, prefix: str, count: int) -> bool:
    return len(await started(world, prefix)) >= count


async def test_a_backfill_starts_the_runs_of_past_times_once(tmp_path: Path, way: Callable[[World], Way]) -> None:
    async with served_in(tmp_path) as world:
        ask = way(world)
        await ask.put_schedule("hourly", "doubled", 1, every_us=HOUR_US)
        start_us = 1_767_225_600_000_000
        for _ in range(2):
            await ask.backfill("hourly", start_us, start_us + 2 * HOUR_US)
            await until(lambda: _is_done(world))
        assert await started(world, "hourly@2026-01-01") == [f"hourly@2026-01-01T0{hour}:00:00Z" for hour in range(3)]


async def _is_done(world: World) -> bool:
    left = [each["id"] for each in (await world.http.get("/api/schedules")).json()["schedules"]]
    return left == ["hourly"]
