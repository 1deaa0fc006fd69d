"""What a caller does whose store is in trouble for a while: ask again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreError

T = TypeVar("T")
PAUSE_S = 0.1
ATTEMPTS_MAX = 2_000


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, after any number of `StoreError`s; the last of very many is raised."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return await ask()
        except StoreError:
            await sleep(PAUSE_S)
    return await ask()
