"""A lifespan for FastAPI and Starlette that knows of the handover.

::

    app = FastAPI(lifespan=handover.lifespan(my_lifespan))

The application counts as ready when its own startup is done. Work that only one generation may do (cron, consumers)
is given as ``while_leased``: it runs while this process holds the lease, and has ended before the state moves.
Needs neither FastAPI nor Starlette.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from aeterna import handover

__all__ = ["Job", "lifespan"]

log = logging.getLogger("aeterna.handover")

Job = Callable[[Any], Coroutine[Any, Any, None]]
"""Work for the holder of the lease; it is given the application and cancelled when the lease goes."""
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]

_STOPS_WITHIN_S = 5.0


def lifespan(inner: Lifespan | None = None, *, while_leased: Sequence[Job] = ()) -> Lifespan:
    """A lifespan around ``inner`` that says `handover.ready` after its startup.

    Each of ``while_leased`` runs as a task from the moment this process holds the lease (at once without a
    supervisor), and is cancelled when it loses it, when the state is about to move, and at shutdown. One that fails is
    logged and not started again before the next lease.
    """

    @asynccontextmanager
    async def managed(app: Any) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            state = None if inner is None else await stack.enter_async_context(inner(app))
            jobs = _LeasedJobs(while_leased, app)
            stack.push_async_callback(jobs.end)
            jobs.begin()
            handover.ready()
            yield state

    return managed


class _LeasedJobs:
    """The jobs of one application on its loop. The supervisor's thread says when they may run."""

    def __init__(self, jobs: Sequence[Job], app: Any) -> None:
        self._jobs, self._app = jobs, app
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._is_over = False

    def begin(self) -> None:
        """Start them if the lease is here, and follow it."""
        if not self._jobs:
            return
        handover.on_lease(acquired=self._start_soon, revoked=self._stop_from_outside)
        handover.on_quiesce(self._stop_from_outside)
        handover.on_resume(self._start_soon)
        self._start()

    async def end(self) -> None:
        """Stop them for good."""
        self._is_over = True
        await self._stop()

    def _start(self) -> None:
        if self._running or self._is_over or not handover.has_lease():
            return
        for job in self._jobs:
            task = self._loop.create_task(job(self._app), name=f"while leased: {getattr(job, '__name__', job)}")
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _stop(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel("the lease is gone")
        if running:
            await asyncio.wait(running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error, extra={"action": "lease.job_failed"})

    # --- called in the supervisor's thread ---------------------------------------------------------------------------

    def _start_soon(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start)

    def _stop_from_outside(self) -> None:
        """Return when they have ended. Raises `TimeoutError`, which ends the handover and not the service."""
        if not self._is_over and not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_STOPS_WITHIN_S)
