"""A process that was stopped begins nothing that others may have done meanwhile: it looks at its lease at the last
moment, and the lease ends for it a little earlier than for the others."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from aeterna.durable.engine.lease import MARGIN_DIVISOR, Lease
from aeterna.durable.engine.program import StepDefinition, StepRequest
from aeterna.durable.engine.steps import NotBegun, Returned, StepExecutor
from aeterna.kernel.clock import SystemClock
from aeterna.testing.clock import FakeClock

LEASE_US = 1_000_000


def request(function, *, is_async):
    definition = StepDefinition("step", function, is_async=is_async)
    return StepRequest(definition, (), {}, b"", contextvars.copy_context())


async def test_a_plain_step_that_waited_for_its_thread_is_not_begun_once_the_lease_is_over():
    """The only thread is taken until then; what was handed to it before the lease ended stays undone."""
    executor = StepExecutor(SystemClock(), 1_000, 1)
    holds, began, may_end, calls = True, threading.Event(), threading.Event(), []

    def first():
        began.set()
        assert may_end.wait(30)
        return 1

    def second():
        calls.append(1)

    attempts = [
        asyncio.ensure_future(executor.attempt(request(function, is_async=False), 1, lambda: holds))
        for function in (first, second)
    ]
    await asyncio.to_thread(began.wait, 30)
    holds = False
    may_end.set()
    done, held = await asyncio.gather(*attempts)
    executor.close()
    assert isinstance(done, Returned)
    assert held == NotBegun()
    assert calls == []


@pytest.mark.parametrize("holds", [True, False])
async def test_an_async_step_looks_right_before_it_begins(holds):
    calls = []

    async def step():
        calls.append(1)

    outcome = await StepExecutor(SystemClock(), 1_000, 1).attempt(request(step, is_async=True), 1, lambda: holds)
    assert calls == [1] * holds
    assert isinstance(outcome, Returned if holds else NotBegun)


def test_the_lease_ends_a_tenth_earlier_here_than_in_the_store():
    clock = FakeClock()
    lease = Lease(clock, LEASE_US)
    assert not lease.holds()
    lease.renewed(clock.monotonic_us())
    clock.advance(LEASE_US - LEASE_US // MARGIN_DIVISOR - 1)
    assert lease.holds()
    clock.advance(1)
    assert not lease.holds()
