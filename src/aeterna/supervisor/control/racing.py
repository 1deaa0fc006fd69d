"""Waiting for one thing unless another happens first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless(main: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, object]) -> T | None:
    """The result of ``main``; None if one of the others ends before it. Those that lose are cancelled and have ended.

    What ``main`` raises is raised; what another raises counts as its end.
    """
    wanted = asyncio.ensure_future(main)
    tasks: list[asyncio.Future[Any]] = [wanted, *map(asyncio.ensure_future, others)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return wanted.result() if wanted.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
