"""What is caught by patching at call time, because workflow code reaches it without going through its loop.

Installed once per process, when the first engine starts. Each patch asks first whether workflow code is running and
is otherwise the original."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import logging
from collections.abc import Iterable
from typing import Any

from aeterna.durable.engine.run_loop import current_execution

_original_handle = logging.Logger.handle
_original_as_completed = asyncio.as_completed


def install() -> None:
    """Patch `logging.Logger.handle` and `asyncio.as_completed`; a second call changes nothing."""
    if logging.Logger.handle is _original_handle:
        logging.Logger.handle = _handle  # type: ignore[method-assign]
        asyncio.as_completed = _as_completed
        asyncio.tasks.as_completed = _as_completed


def _handle(self: logging.Logger, record: logging.LogRecord) -> None:
    """A replayed workflow says nothing: it has said it the first time."""
    execution = current_execution()
    if execution is None or not execution.is_replaying:
        _original_handle(self, record)


def _as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    """In workflow code, make the tasks in the order given: the original would make them in the order of a set of
    addresses."""
    if current_execution() is not None:
        fs = [asyncio.ensure_future(awaitable) for awaitable in fs]
    return _original_as_completed(fs, timeout=timeout)
