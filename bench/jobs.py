"""What the steps of the workloads do. Both engines decorate these very functions, so they do the same work.

The probe is how a step or a workflow body tells the measuring code in the same process what it saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

from bench.execution_log import FINISHED, STARTED, ExecutionLog

PAYLOAD = "x" * 100
SLOW_STEP_S = 0.1


class Barrier:
    """Opens when ``width`` arrivals have come."""

    def __init__(self, width: int) -> None:
        self._missing = width
        self._open = asyncio.Event()

    async def arrive(self) -> None:
        """Wait for the others."""
        self._missing -= 1
        if self._missing == 0:
            self._open.set()
        await self._open.wait()


class Probe:
    """What happened in this process so far. Times are `perf_counter` seconds."""

    def __init__(self) -> None:
        self.step_starts: list[float] = []
        self.body_entries: list[float] = []
        self.bodies_left = 0
        self.body_left = asyncio.Event()
        self.log: ExecutionLog | None = None
        self.at_gate: Callable[[], Awaitable[None]] | None = None
        self.barrier: Barrier | None = None

    def enter_body(self) -> None:
        """A workflow function began to execute (again, when it is replayed)."""
        self.body_entries.append(perf_counter())

    def leave_body(self) -> None:
        """A workflow function is about to return its result."""
        self.bodies_left += 1
        self.body_left.set()


PROBE = Probe()


async def noop(index: int) -> str:
    """Return 100 bytes."""
    return PAYLOAD


async def slow(run: str, index: int) -> str:
    """Take 100 ms and log the start and the end of this execution. First steps wait at the barrier, if there is one."""
    log = PROBE.log
    assert log is not None, "the workload opens the execution log before it starts runs"
    log.write(run, index, STARTED)
    if index == 0 and PROBE.barrier is not None:
        await PROBE.barrier.arrive()
    await asyncio.sleep(SLOW_STEP_S)
    log.write(run, index, FINISHED)
    return PAYLOAD


async def counted(index: int, gate_index: int) -> str:
    """Note when this execution began; the step at ``gate_index`` waits for the gate."""
    PROBE.step_starts.append(perf_counter())
    if index == gate_index and PROBE.at_gate is not None:
        await PROBE.at_gate()
    return PAYLOAD
