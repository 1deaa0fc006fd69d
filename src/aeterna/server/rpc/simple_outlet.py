"""The way to a simple client: runs that wait until it polls for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from aeterna.durable.core.events import Payload
from aeterna.durable.engine.coordinator.attached import Delivery
from aeterna.durable.stores.contract import Notice, NoticeKind


class SimpleOutlet:
    """See `Outlet`."""

    def __init__(self) -> None:
        self.waiting: deque[Delivery] = deque()
        self.is_lost = False
        self.is_leaving = False
        self.is_polled = False
        self._wake = asyncio.Event()

    def deliver(self, delivery: Delivery) -> None:
        """See `Outlet`."""
        self.waiting.append(delivery)
        self._wake.set()

    def tell(self, notice: Notice) -> None:
        """See `Outlet`. What else happens, the client asks for with its heartbeats."""
        if notice.kind is NoticeKind.LOST:
            self.is_lost = True
            self._wake.set()

    def leave(self) -> None:
        """See `Outlet`: the poll ends, and the client polls elsewhere."""
        self.is_leaving = True
        self._wake.set()

    def asks(self) -> Callable[[str, str, Payload], Awaitable[Payload]] | None:
        """See `Outlet`: it answers no queries."""
        return None

    async def next(self) -> Delivery | None:
        """The next run; None once there will be none."""
        while not self.waiting and not self.is_over:
            self._wake.clear()
            await self._wake.wait()
        return None if self.is_over else self.waiting.popleft()

    @property
    def is_over(self) -> bool:
        """Nothing more is handed out here."""
        return self.is_lost or self.is_leaving
