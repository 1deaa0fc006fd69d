"""Work that an engine does beside its runs, for as long as it lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreCorruptError, StoreError

log = logging.getLogger("aeterna.engine")

RETRY_S = 0.5

Work = Callable[[], Coroutine[Any, Any, None]]


class Background:
    """Short tasks in the engine's group, which a store in trouble delays and does not end."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def do(self, work: Work) -> None:
        """Have it done, unless the engine stops first; after a `StoreError` from the beginning, until it works."""
        if self._is_stopping:
            return
        task = self._group.create_task(_supervise(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Leave what is under way; the next engine finds it again."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()


async def as_callback(work: Callable[[], None]) -> None:
    """Do it in a plain callback of the loop, whether the caller still waits for that or not: workflow code must not run
    inside another task."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def call() -> None:
        if not done.done():
            done.set_result(None)
        work()

    loop.call_soon(call)
    await done


async def _supervise(work: Work) -> None:
    while True:
        try:
            await work()
        except StoreCorruptError as error:
            # It stays in the histories, for a process that finds them repaired.
            log.error("%s", error, extra={"action": "background"})
            return
        except StoreError as error:
            log.error("will try again: %s", error, extra={"action": "background"})
        else:
            return
        await sleep(RETRY_S)
