"""Who waits for the end of which run, on a server."""

from __future__ import annotations

import asyncio

from aeterna.durable.stores.contract import Store
from aeterna.kernel.errors import StoreError

LOOKED_AT_MAX = 100


class EndWaiters:
    """Futures by run id; a notice that was missed is made good by `look`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._futures: dict[str, set[asyncio.Future[None]]] = {}
        self._turn: list[str] = []
        self._is_closed = False

    def publish(self, run_id: str) -> None:
        """The run has ended."""
        for future in self._futures.pop(run_id, ()):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Nobody hears of an end here any more; who waits, or comes to wait, hears that."""
        self._is_closed = True
        for futures in self._futures.values():
            for future in futures:
                if not future.done():
                    future.set_exception(_leaving())

    async def wait(self, run_id: str, timeout_s: float | None) -> None:
        """Return once the run has ended, or is not there; raises `TimeoutError`, or the store's error."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        futures = self._futures.setdefault(run_id, set())
        futures.add(future)
        try:
            # After the future is there: an end that comes meanwhile is heard.
            row = await self._store.get_run(run_id)
            if row is None or row.state.is_final:
                return
            if self._is_closed:
                raise _leaving()
            async with asyncio.timeout(timeout_s):
                await future
        finally:
            futures.discard(future)
            if not futures and self._futures.get(run_id) is futures:
                del self._futures[run_id]

    async def look(self) -> None:
        """Ask the store about some of those that are waited for."""
        if not self._turn:
            self._turn = list(self._futures)
        turn, self._turn = self._turn[:LOOKED_AT_MAX], self._turn[LOOKED_AT_MAX:]
        for run_id in turn:
            if run_id not in self._futures:
                continue
            row = await self._store.get_run(run_id)
            if row is None or row.state.is_final:
                self.publish(run_id)


def _leaving() -> StoreError:
    return StoreError("the server is stopping; the run goes on: wait for it at another server, or at this one later")
