"""The output-commit rule: nothing has an effect outside before what led to it is committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Act = Callable[[], None]


class OutputGate:
    """Holds acts back until the run's history is stored up to where the code had seen it when it asked for them."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, Act]] = deque()

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return not self._held

    def hold(self, seen: int, act: Act) -> None:
        """Do ``act`` once ``seen`` events are stored. ``seen`` never falls from call to call."""
        self._held.append((seen, act))

    def open(self, stored: int) -> bool:
        """``stored`` events are in the store: do what waited for no more than that, in order. True if that was the last
        that waited."""
        had_some = bool(self._held)
        while self._held and self._held[0][0] <= stored:
            _, act = self._held.popleft()
            act()
        return had_some and not self._held
