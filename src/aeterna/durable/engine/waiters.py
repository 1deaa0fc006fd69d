"""Who waits for the end of which run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aeterna.durable.core.fold import Run
from aeterna.kernel.errors import AeternaError, StoreError


class Waiters:
    """Futures by run id. ``store_error`` is the error of the store's last commit, None while it works."""

    def __init__(self) -> None:
        self._futures: dict[str, list[asyncio.Future[Run]]] = {}
        self._problems: dict[str, Exception] = {}
        self.store_error: StoreError | None = None
        self._is_closed = False

    def has(self, run_id: str) -> bool:
        """Somebody waits for the run."""
        return run_id in self._futures

    def awaited(self) -> list[str]:
        """The runs that somebody waits for."""
        return list(self._futures)

    @contextmanager
    def register(self, run_id: str) -> Iterator[asyncio.Future[Run]]:
        """A future for the fold of the run's whole history, set once it has ended.

        It fails with what keeps the run from ending here: the `NonDeterminismError` of a stuck run, the `StoreError`
        of a store that cannot write."""
        future: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        obstacle = self._problems.get(run_id) or self.store_error or (_stopped(run_id) if self._is_closed else None)
        if obstacle is not None:
            future.set_exception(obstacle)
        futures = self._futures.setdefault(run_id, [])
        futures.append(future)
        try:
            yield future
        finally:
            if future.done() and not future.cancelled():
                future.exception()
            futures.remove(future)
            if not futures and self._futures.get(run_id) is futures:
                del self._futures[run_id]

    def publish(self, run_id: str, run: Run) -> None:
        """The run has ended."""
        self._problems.pop(run_id, None)
        for future in self._futures.get(run_id, ()):
            if not future.done():
                future.set_result(run)

    def fail(self, run_id: str, error: Exception) -> None:
        """The run is stuck in this process."""
        self._problems[run_id] = error
        self._fail(run_id, error)

    def close(self) -> None:
        """The engine stops: nobody will hear of a run from it any more."""
        self._is_closed = True
        for run_id in list(self._futures):
            self._fail(run_id, _stopped(run_id))

    # The journal's side.

    def store_failed(self, error: StoreError) -> None:
        self.store_error = error
        for run_id in list(self._futures):
            self._fail(run_id, error)

    def store_recovered(self) -> None:
        self.store_error = None

    def _fail(self, run_id: str, error: Exception) -> None:
        for future in self._futures.get(run_id, ()):
            if not future.done():
                future.set_exception(error)


def _stopped(run_id: str) -> AeternaError:
    return AeternaError(f"the engine stopped; run {run_id!r} goes on when it is started again")
