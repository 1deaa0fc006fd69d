"""Requests in JSON do what the operations do, and refuse what cannot be understood."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aeterna.durable.operations.requests import OPS, answer
from aeterna.kernel.errors import ConfigurationError, UsageError
from aeterna.testing.clock import START_US
from tests.flow.desk import HOUR, TestDesk, desk
from tests.stores.samples import create

SPEC = {"workflow": "report", "arguments": base64.b64encode(b"j[[],{}]").decode(), "every_us": HOUR}


async def ask(world: TestDesk, op: str, **fields: Any) -> dict[str, Any]:
    return await answer(world, {"op": op, **fields})


async def test_queues():
    async with desk() as world:
        await ask(world, "queue.put", name="gpu", limits={"concurrency": 2, "rate": 5})
        changed = await ask(world, "queue.put", name="gpu", limits={"burst": 3}, unlimited=["rate"])
        queue = {
            "name": "gpu",
            "concurrency": 2,
            "concurrency_per_share": None,
            "rate": None,
            "rate_period_us": 1_000_000,
            "burst": 3,
            "is_paused": False,
        }
        assert changed == {"queue": queue}
        assert await ask(world, "queue.pause", name="gpu") == {}
        (listed,) = (await ask(world, "queue.list"))["queues"]
        assert listed == queue | {"is_paused": True, "pending": 0, "running": 0, "oldest_us": None}
        await ask(world, "queue.resume", name="gpu")
        assert not (await ask(world, "queue.list"))["queues"][0]["is_paused"]
        assert await ask(world, "queue.delete", name="gpu") == {"deleted": True}


async def test_schedules():
    async with desk() as world:
        put = await ask(world, "schedule.put", id="hourly", spec=SPEC)
        assert (put["id"], put["is_paused"], put["next_us"]) == ("hourly", False, START_US + HOUR)
        assert put["spec"] == {"workflow": "report", "args": [], "kwargs": {}, "every_us": HOUR}
        assert (await ask(world, "schedule.list"))["schedules"] == [put]
        shown = await ask(world, "schedule.get", id="hourly", coming=2)
        assert shown["coming_us"] == [START_US + HOUR, START_US + 2 * HOUR]
        assert await ask(world, "schedule.pause", id="hourly") == {}
        assert (await ask(world, "schedule.get", id="hourly"))["is_paused"]
        assert await ask(world, "schedule.resume", id="hourly") == {}
        assert await ask(world, "schedule.trigger", id="hourly") == {"run": "hourly@2026-01-01T00:00:00Z"}
        world.wall.advance(HOUR)
        begun = await ask(world, "schedule.backfill", id="hourly", start_us=START_US, end_us=START_US + HOUR)
        assert begun == {"schedule": "hourly~2026-01-01T00:00:00Z~2026-01-01T01:00:00Z"}
        assert await ask(world, "schedule.delete", id="hourly") == {"deleted": True}


async def test_why():
    async with desk() as world:
        await world.store.commit([create("A")])
        why = (await ask(world, "why", id="A"))["why"]
        assert (why["kind"], why["run_id"]) == ("claimable", "A")


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"op": "nonsense"},
        {"op": "queue.put"},
        {"op": "queue.put", "name": 5},
        {"op": "queue.pause", "name": "q", "more": 1},
        {"op": "queue.put", "name": "q", "limits": {"is_paused": 5}},
        {"op": "schedule.put", "id": "s", "spec": {"workflow": "w"}},
    ],
)
async def test_what_cannot_be_understood_is_refused(request_: dict[str, Any]):
    async with desk() as world:
        with pytest.raises(UsageError):
            await answer(world, request_)
        assert await ask(world, "queue.list") == {"queues": []}


async def test_what_means_nothing_is_refused():
    async with desk() as world:
        with pytest.raises(ConfigurationError, match="concurrency is 0"):
            await ask(world, "queue.put", name="q", limits={"concurrency": 0})


def test_requests_are_known_by_their_names():
    assert {"queue.put", "schedule.backfill", "why"} <= OPS
    assert "cancel" not in OPS
