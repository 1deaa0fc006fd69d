"""The signals of one run in memory: those that nobody has taken yet, and who waits for which.

Of one name, the first signal goes to the first who waits. Both orders follow from the history and the code, so a replay
hands them out alike."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from aeterna.durable.core.events import Payload

if TYPE_CHECKING:
    from aeterna.durable.engine.execution import Wait


class Signals:
    """What was received and not taken, and the waits, by name."""

    __slots__ = ("_kept", "_waits")

    def __init__(self) -> None:
        self._kept: dict[str, deque[Payload]] = {}
        self._waits: dict[str, deque[Wait]] = {}

    @property
    def is_waited_for(self) -> bool:
        """Somebody waits for one."""
        return bool(self._waits)

    def describe(self) -> str:
        """What is waited for, in words."""
        names = ", ".join(map(repr, self._waits))
        return f"signal {names}" if len(self._waits) == 1 else f"signals {names}"

    def take(self, name: str) -> Payload | None:
        """The first that was kept; None if there is none."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        payload = kept.popleft()
        if not kept:
            del self._kept[name]
        return payload

    def wait(self, name: str, wait: Wait) -> None:
        """From now on this one waits, after those who do already."""
        self._waits.setdefault(name, deque()).append(wait)

    def give_up(self, name: str, wait: Wait) -> None:
        """The wait is over; nothing happens if it does not."""
        waits = self._waits.get(name)
        if waits is not None and wait in waits:
            waits.remove(wait)
            if not waits:
                del self._waits[name]

    def receive(self, name: str, payload: Payload, *, is_returned: bool = False) -> Wait | None:
        """The wait that gets the signal, and is over; None: it is kept. ``is_returned``: it was taken before, and comes
        before those that are kept."""
        waits = self._waits.get(name)
        if waits is not None:
            wait = waits.popleft()
            if not waits:
                del self._waits[name]
            return wait
        kept = self._kept.setdefault(name, deque())
        if is_returned:
            kept.appendleft(payload)
        else:
            kept.append(payload)
        return None
