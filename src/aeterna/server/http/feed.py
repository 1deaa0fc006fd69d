"""What changes in a namespace, numbered and kept for a while, so that one who was cut off can go on where it was.

Of each run the last change of each kind is kept: what matters is that something changed, not how often. Numbers belong
to one life of one server: an event's id is ``SESSION-NUMBER``, and a session's number is never used again. Whoever
comes with an id that is not known any more is told to look at everything anew (`Missed`). Nothing is kept while nobody
has asked for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.stores.contract import Append, Appended, Created, CreateRun, Notice, NoticeKind, Outcome, Write
from aeterna.kernel.clock import sleep

KEPT_MAX = 10_000
KEPT_S = 300.0
GATHER_S = 0.05
"""Changes of one run that come so close together are told as one."""
TOLD_MAX = 200
"""So many changes at a time."""

_KINDS = {NoticeKind.ENDED: "ended", NoticeKind.INBOX: "message", NoticeKind.SCHEDULES: "schedule"}


class Change(NamedTuple):
    """``kind``: created, changed, message, ended or schedule; ``subject``: the run's id (or the schedule's)."""

    number: int
    kind: str
    subject: str


class Missed(NamedTuple):
    """What was between is not known any more."""

    number: int


class Feed:
    """The changes of one namespace."""

    def __init__(self, desk: NamespaceDesk) -> None:
        self._desk = desk
        self._life = desk.session
        self._changes: dict[tuple[str, str], int] = {}
        self._number = 0
        self._forgotten = 0
        self._woken = asyncio.Event()
        self._followers = 0
        self._stops: list[Callable[[], None]] = []
        self._idle: asyncio.TimerHandle | None = None
        self._is_closed = False

    def close(self) -> None:
        """The server stops: every stream ends."""
        self._is_closed = True
        self._rest()
        self._wake()

    async def follow(self, after: str) -> AsyncGenerator[list[Change] | Missed, None]:
        """What came after the event of that id ('' = from now on), some at a time, until the server stops."""
        self._listen()
        try:
            position = self._position(after)
            while not self._is_closed:
                if position < self._forgotten:
                    position = self._number
                    yield Missed(position)
                elif position < self._number:
                    changes = self._since(position)
                    position = changes[-1].number
                    yield changes
                else:
                    await self._woken.wait()
                    await sleep(GATHER_S)
        finally:
            self._unlisten()

    def id_of(self, number: int) -> str:
        """The id of the event of that number."""
        return f"{self._life}-{number}"

    def _position(self, after: str) -> int:
        life, _, number = after.partition("-")
        if not after:
            return self._number
        if life != str(self._life) or not number.isascii() or not number.isdecimal() or int(number) > self._number:
            self._forgotten = max(self._forgotten, 1)
            self._number = max(self._number, 1)
            return 0
        return int(number)

    def _since(self, position: int) -> list[Change]:
        found = []
        for (kind, subject), number in reversed(self._changes.items()):
            if number <= position:
                break
            found.append(Change(number, kind, subject))
        return found[: -TOLD_MAX - 1 : -1]

    # Hearing what happens.

    def _listen(self) -> None:
        self._followers += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not self._stops:
            self._stops = [self._desk.listen(self._hear), self._desk.listen_writes(self._see)]

    def _unlisten(self) -> None:
        self._followers -= 1
        if not self._followers and not self._is_closed:
            self._idle = asyncio.get_running_loop().call_later(KEPT_S, self._rest)

    def _rest(self) -> None:
        """Nobody listens from here on, so what was kept is not all there is."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        for stop in self._stops:
            stop()
        self._stops = []
        self._changes.clear()
        self._number += 1
        self._forgotten = self._number

    def _hear(self, notice: Notice) -> None:
        kind = _KINDS.get(notice.kind)
        if kind is not None and notice.subject:
            self._add(kind, notice.subject)

    def _see(self, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
        for write, outcome in zip(writes, outcomes, strict=True):
            if isinstance(write, CreateRun) and isinstance(outcome, Created):
                self._add("created", write.id)
            elif isinstance(write, Append) and isinstance(outcome, Appended):
                run_id = self._desk.sessions.run_of(write.key)
                if run_id is not None:
                    self._add("changed", run_id)

    def _add(self, kind: str, subject: str) -> None:
        self._number += 1
        self._changes.pop((kind, subject), None)
        self._changes[kind, subject] = self._number
        if len(self._changes) > KEPT_MAX:
            oldest = next(iter(self._changes))
            self._forgotten = self._changes.pop(oldest)
        self._wake()

    def _wake(self) -> None:
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()
