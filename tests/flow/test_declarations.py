"""What a program declares is put when its app opens, and works without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aeterna import App, Context
from aeterna.durable.core import codec
from aeterna.durable.core.schedule import DAY_US, Overlap
from aeterna.durable.core.why_facts import Kind
from aeterna.durable.operations.queues import pause_queue, resume_queue
from aeterna.durable.operations.why import why
from aeterna.durable.sdk.declarations import Declarations
from aeterna.durable.stores.contract import QueueRow
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.errors import ConfigurationError, DuplicateNameError
from aeterna.testing import Environment
from aeterna.testing.clock import START_US
from tests.flow.desk import HOUR, MINUTE, desk


def app_with_report(name: str = "declared") -> App:
    app = App(name, store="memory:")

    @app.workflow
    async def report(ctx: Context, region: str, depth: int = 1) -> str:
        return f"{region}:{depth}"

    return app


async def test_declared_queues_and_schedules_are_put():
    report = app_with_report().find_workflow("report")
    declared = Declarations("declared")
    declared.queue("gpu", concurrency=2, concurrency_per_share=1, rate=3, per=timedelta(minutes=1), burst=4)
    declared.schedule(
        "nightly",
        cron="0 2 * * *",
        every=timedelta(hours=1),
        offset=60,
        time_zone="Europe/Berlin",
        jitter=30,
        start=datetime(2026, 1, 1, tzinfo=UTC),
        end=datetime(2027, 1, 1, tzinfo=UTC),
        overlap="buffer_all",
        catch_up=timedelta(hours=2),
        args=["eu"],
        kwargs={"depth": 2},
        note="why",
    )(report)
    async with desk() as world:
        await declared.put(world)
        (queue,) = await world.store.list_queues()
        assert queue.queue == QueueRow("gpu", 2, 1, 3, MINUTE, 4)
        await declared.put(world)
    spec = declared._schedules["nightly"]
    assert codec.decode(spec.arguments, list, "x") == [["eu"], {"depth": 2}]
    assert (spec.workflow, spec.version, spec.cron, spec.every_us) == ("report", "1", ("0 2 * * *",), HOUR)
    assert (spec.offset_us, spec.jitter_us, spec.catch_up_us) == (MINUTE, MINUTE // 2, 2 * HOUR)
    assert (spec.start_us, spec.end_us) == (START_US, START_US + 365 * DAY_US)
    assert (spec.overlap, spec.note, spec.time_zone) == (Overlap.BUFFER_ALL, "why", "Europe/Berlin")


def test_declarations_that_mean_nothing_are_refused_at_once():
    report = app_with_report().find_workflow("report")
    declared = Declarations("declared")
    with pytest.raises(ConfigurationError, match="concurrency is 0"):
        declared.queue("gpu", concurrency=0)
    with pytest.raises(ConfigurationError, match="per of queue 'gpu'"):
        declared.queue("gpu", per=-1)
    with pytest.raises(ConfigurationError, match="overlap 'both' is unknown"):
        declared.schedule("s", every=1, overlap="both", args=["eu"])(report)
    with pytest.raises(ConfigurationError, match="no time to fire"):
        declared.schedule("s", args=["eu"])(report)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        declared.schedule("s", cron=["0 0 * * *", "x"], args=["eu"])(report)
    with pytest.raises(ConfigurationError, match="which has no time zone"):
        declared.schedule("s", every=1, args=["eu"], start=datetime.fromisoformat("2026-01-01"))(report)
    with pytest.raises(TypeError, match="missing a required argument"):
        declared.schedule("s", every=1)(report)
    with pytest.raises(ConfigurationError, match="write it above"):
        declared.schedule("s", every=1)(lambda: None)
    declared.queue("gpu")
    with pytest.raises(DuplicateNameError):
        declared.queue("gpu")
    declared.schedule("s", every=1, args=["eu"])(report)
    with pytest.raises(DuplicateNameError):
        declared.schedule("s", every=1, args=["eu"])(report)


def test_an_app_fires_its_schedules_by_itself():
    """An hour, a run; also those that came while nothing ran."""
    app = App("firing", store="memory:")
    seen: list[str] = []

    @app.schedule("hourly", every=timedelta(hours=1), overlap="buffer_all", args=["eu"])
    @app.workflow
    async def report(ctx: Context, region: str) -> None:
        seen.append(f"{region} {ctx.now():%H:%M}")

    async def scenario(env: Environment) -> None:
        await env.sleep(timedelta(hours=2, minutes=1))
        assert seen == ["eu 01:00", "eu 02:00"]
        await app.close()
        env.clock.advance(2 * HOUR)
        await app.engine()
        await env.sleep(timedelta(minutes=1))
        assert len(seen) == 4
        assert (await app.handle("hourly@2026-01-01T03:00:00Z").status()).state == "COMPLETED"

    Environment(MemoryStore("firing")).run(app, scenario)


def test_an_app_keeps_the_limits_of_its_queues():
    app = App("limited", store="memory:")
    app.queue("narrow", concurrency=2)
    most = 0
    going: set[str] = set()

    @app.workflow
    async def job(ctx: Context, name: str) -> str:
        nonlocal most
        going.add(name)
        most = max(most, len(going))
        await ctx.sleep(60)
        going.discard(name)
        return name

    async def scenario(env: Environment) -> None:
        handles = [await job.options(queue="narrow").start(f"job {n}") for n in range(7)]
        assert [await handle.result() for handle in handles] == [f"job {n}" for n in range(7)]

    Environment(MemoryStore("limited")).run(app, scenario)
    assert most == 2


def test_an_app_keeps_to_the_rate_of_a_queue():
    """Two a minute: the engine looks again when the rate lets the next one start, though nothing else happens."""
    app = App("paced", store="memory:")
    app.queue("mail", rate=2, per=60)
    begun: list[str] = []
    environment = Environment(MemoryStore("paced"))

    @app.step
    async def note() -> None:
        begun.append(f"{environment.now:%M:%S}")

    @app.workflow
    async def send(ctx: Context) -> None:
        await note()

    async def scenario(env: Environment) -> None:
        handles = [await send.options(queue="mail").start() for _ in range(5)]
        for handle in handles:
            await handle.result()
        assert begun == ["00:00", "00:30", "01:00", "01:30", "02:00"]

    environment.run(app, scenario)


def test_a_queue_that_is_resumed_goes_on_at_once():
    app = App("paused", store="memory:")
    app.queue("mail")

    @app.workflow
    async def send(ctx: Context) -> str:
        return "sent"

    async def scenario(env: Environment) -> None:
        world = await app.world()
        await pause_queue(world, "mail")
        handle = await send.options(queue="mail").start()
        await env.sleep(timedelta(hours=1))
        assert (await handle.status()).state == "PENDING"
        assert (await why(world, handle.id)).kind is Kind.QUEUE_PAUSED
        await app.close()
        await app.engine()
        world = await app.world()
        await env.sleep(timedelta(hours=1))
        assert (await handle.status()).state == "PENDING", "a paused queue stays paused"
        await resume_queue(world, "mail")
        assert await handle.result() == "sent"

    Environment(MemoryStore("paused")).run(app, scenario)
