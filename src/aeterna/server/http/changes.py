"""What happens in a namespace, as server-sent events."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.stores.contract import Notice, NoticeKind
from aeterna.server.http.records import run_record

KEPT_MAX = 1_000
HEARTBEAT_S = 15.0
RETRY_MS = 1_000

_TOLD = frozenset({NoticeKind.ENDED, NoticeKind.INBOX, NoticeKind.RUNS, NoticeKind.SCHEDULES})


class Changes:
    """The last notices of a namespace, numbered, and whoever waits for the next."""

    def __init__(self, desk: NamespaceDesk) -> None:
        self._desk = desk
        self._numbers = itertools.count(1)
        self._kept: deque[tuple[int, Notice]] = deque(maxlen=KEPT_MAX)
        self._more = asyncio.Event()
        desk.listen(self._hear)

    def _hear(self, notice: Notice) -> None:
        if notice.kind in _TOLD:
            self._kept.append((next(self._numbers), notice))
            self._more.set()
            self._more = asyncio.Event()

    async def stream(self, after: int | None) -> AsyncIterator[str]:
        """Events after the one of that number (None: from now on). One who asks for more than is kept gets an event
        ``reset`` first: something was missed, look again."""
        last = self._kept[-1][0] if self._kept else 0
        yield f"retry: {RETRY_MS}\n\n"
        if after is None or after > last:
            # A larger number is one of an earlier process.
            if after is not None:
                yield "event: reset\ndata: {}\n\n"
            after = last
        elif self._kept and after < self._kept[0][0] - 1:
            yield "event: reset\ndata: {}\n\n"
        while True:
            more = self._more
            for number, notice in [each for each in self._kept if each[0] > after]:
                after = number
                yield await self._event(number, notice)
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await more.wait()
            except TimeoutError:
                yield ": still here\n\n"

    async def _event(self, number: int, notice: Notice) -> str:
        data: dict[str, Any] = {"subject": notice.subject}
        if notice.subject and notice.kind in (NoticeKind.ENDED, NoticeKind.INBOX):
            row = await self._desk.store.get_run(notice.subject)
            data["run"] = None if row is None else run_record(row, self._desk.name)
        return f"id: {number}\nevent: {notice.kind.value}\ndata: {json.dumps(data)}\n\n"
