"""The heart of a server: the desks of its namespaces, opened when they are first named, and what serves them.

It follows one life: `start`, then `stop`, once. Nothing that it keeps in memory matters: another server over the same
store, or a later one, goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.stores.contract import Namespaces
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import LimitExceededError, NamespaceNotFoundError, StoreError, UsageError
from aeterna.kernel.ids import NAMESPACE_RULE, is_namespace

log = logging.getLogger("aeterna.coordinator")

RESTART_S = 1.0


class Coordinator:
    """Serves the namespaces of one place."""

    def __init__(self, namespaces: Namespaces, clock: Clock, options: CoordinatorOptions | None = None) -> None:
        self.options = options or CoordinatorOptions()
        self.clock = clock
        self.namespaces = namespaces
        self._desks: dict[str, NamespaceDesk] = {}
        self._observers: list[Callable[[NamespaceDesk], None]] = []
        self._opening = asyncio.Lock()
        self._tasks: asyncio.TaskGroup
        self._end = asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the place and the namespaces that it has; raises the store's error. Idempotent."""
        if self._main is not None:
            return
        await self.namespaces.open()
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._main = asyncio.create_task(self._serve(ready), name="aeterna-coordinator")
        try:
            await ready
            for name in await self.namespaces.names():
                await self.namespace(name)
        except BaseException:
            await self.stop()
            raise

    def leave(self) -> None:
        """The process is about to end: from here on, a worker whose connection ends keeps its session. Idempotent."""
        for desk in self._desks.values():
            desk.leave()

    async def stop(self) -> None:
        """Commit what was submitted and close the place. Idempotent."""
        if self._main is None:
            return
        self.leave()
        self._end.set()
        main, self._main = self._main, None
        await asyncio.wait([main])
        main.result()

    async def namespace(self, name: str) -> NamespaceDesk:
        """The desk of a namespace, which comes to be when it is first named.

        Raises `UsageError` for a name that cannot be one, `LimitExceededError` if there are too many, and the store's
        error."""
        desk = self._desks.get(name)
        if desk is not None:
            return desk
        if not is_namespace(name) and name not in await self.namespaces.names():
            raise UsageError(f"namespace {name[:80]!r} cannot be: {NAMESPACE_RULE}")
        async with self._opening:
            desk = self._desks.get(name)
            return await self._open(name) if desk is None else desk

    async def existing(self, name: str) -> NamespaceDesk:
        """As `namespace`, for one that is there, perhaps because another server of the store made it: nothing comes to
        be. Raises `NamespaceNotFoundError`."""
        desk = self._desks.get(name)
        if desk is None and name not in await self.namespaces.names():
            raise NamespaceNotFoundError(
                f"there is no namespace {name!r} here: it comes to be when a worker of that app connects, or a run is "
                "started in it"
            )
        return await self.namespace(name) if desk is None else desk

    @property
    def desks(self) -> dict[str, NamespaceDesk]:
        """Those that are open, by name."""
        return self._desks

    def at_desks(self, observer: Callable[[NamespaceDesk], None]) -> None:
        """Call ``observer`` with every desk, those that are open and those that will be."""
        self._observers.append(observer)
        for desk in self._desks.values():
            observer(desk)

    async def _open(self, name: str) -> NamespaceDesk:
        if self._main is None or self._end.is_set():
            raise StoreError("the server is stopping; ask another one, or this one when it is back")
        if len(self._desks) >= self.options.namespaces_max:
            raise LimitExceededError(
                f"namespace {name!r} cannot be opened: {self.options.namespaces_max} are open, which is the limit"
            )
        store = self.namespaces.store(name)
        # Messages that name the store go to clients, whom its place does not concern.
        store.description = f"namespace {name!r}"
        store.set_crash_limit(self.options.crash_limit)
        desk = NamespaceDesk(name, store, self.clock, self.options)
        await desk.open()
        for service in desk.services():
            self._tasks.create_task(self._supervise(service))
        self._desks[name] = desk
        for observer in self._observers:
            observer(desk)
        return desk

    async def _serve(self, ready: asyncio.Future[None]) -> None:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                services = self._tasks.create_task(self._end.wait())
                ready.set_result(None)
                await services
                for desk in self._desks.values():
                    await desk.close()
                # What is left serves for ever; the group is left by cancelling it.
                raise _Stopped
        except* _Stopped:
            pass
        finally:
            await self.namespaces.close()

    async def _supervise(self, service: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One namespace's trouble is not that of the others."""
        while True:
            try:
                await service()
            except Exception:
                log.exception("a service failed and is started again", extra={"action": "service_failed"})
            await sleep(RESTART_S)


class _Stopped(Exception):  # noqa: N818 - ends the group, and is no error
    """The coordinator was told to stop."""
