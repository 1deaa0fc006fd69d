"""Queues: what limits mean, and what cannot be one."""

from __future__ import annotations

import pytest

from aeterna.durable.operations.queues import (
    declare_queue,
    delete_queue,
    find_queue,
    list_queues,
    pause_queue,
    put_queue,
    resume_queue,
)
from aeterna.durable.stores.contract import Notice, NoticeKind, QueueRow, QueueState
from aeterna.kernel.errors import ConfigurationError, UsageError
from tests.flow.desk import desk


async def test_a_queue_is_put_listed_and_deleted():
    async with desk() as world:
        queue = QueueRow("gpu", concurrency=2)
        await put_queue(world, queue)
        assert world.notices == [Notice(NoticeKind.RUNS, "gpu")]
        assert await list_queues(world) == [QueueState(queue, 0, 0, None)]
        assert await delete_queue(world, "gpu")
        assert not await delete_queue(world, "gpu")
        assert await find_queue(world, "gpu") is None


async def test_a_queue_can_be_paused_before_it_has_limits():
    async with desk() as world:
        await pause_queue(world, "mail")
        found = await find_queue(world, "mail")
        assert found is not None
        assert found.queue == QueueRow("mail", is_paused=True)
        await resume_queue(world, "mail")
        with pytest.raises(UsageError, match="there is no queue 'unknown'"):
            await resume_queue(world, "unknown")


async def test_what_a_program_declares_does_not_resume_a_paused_queue():
    async with desk() as world:
        await declare_queue(world, QueueRow("gpu", concurrency=2))
        await pause_queue(world, "gpu")
        world.notices.clear()
        await declare_queue(world, QueueRow("gpu", concurrency=2))
        assert not world.notices, "what is as declared is left alone"
        await declare_queue(world, QueueRow("gpu", concurrency=3))
        found = await find_queue(world, "gpu")
        assert found is not None
        assert found.queue == QueueRow("gpu", concurrency=3, is_paused=True)


@pytest.mark.parametrize(
    ("queue", "problem"),
    [
        (QueueRow(""), "queue name '' cannot be"),
        (QueueRow("a\tb"), "cannot be"),
        (QueueRow("x" * 257), "cannot be"),
        (QueueRow("q", concurrency=0), "concurrency is 0"),
        (QueueRow("q", concurrency_per_share=-1), "concurrency_per_share is -1"),
        (QueueRow("q", rate=2**31), "rate is"),
        (QueueRow("q", burst=0), "burst is 0"),
        (QueueRow("q", rate_period_us=0), "the period of its rate is 0 us"),
    ],
)
async def test_limits_that_mean_nothing_are_refused(queue: QueueRow, problem: str):
    async with desk() as world:
        with pytest.raises(ConfigurationError, match=problem):
            await put_queue(world, queue)
        assert await list_queues(world) == []
