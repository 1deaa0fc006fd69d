"""Hands runs over to other workers, when the server asks for it.

It says how many, and which ones is decided here, because only here it is known what they do. Those that wait leave
first: nobody misses them. Then those that come to the start of a step while nothing else of them is in flight; so no
step is cut off, and none is executed twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine
    from aeterna.durable.engine.runner import Runner

PATIENCE_US = 2_000_000
"""What is not handed over by then is asked for anew, if it is still wanted."""
SHORT_SLEEP_US = 2_000_000
"""A run that wakes so soon is handed over when it has woken."""


class Yielding:
    """What one engine has been asked for and not given yet."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._count = 0
        self._until_us = 0

    def ask(self, count: str) -> None:
        """So many runs are wanted elsewhere; from a plain callback of the loop."""
        engine = self._engine
        self._count = int(count) if count.isdecimal() else 0
        self._until_us = engine.clock.monotonic_us() + PATIENCE_US
        wake_us = engine.clock.now_us() + SHORT_SLEEP_US
        for runner in engine.residents.waiting_since(engine.clock.monotonic_us()):
            if self._count and runner.is_waiting and not runner.is_releasing and (runner.wake_us or 0) > wake_us:
                self._count -= 1
                runner.release()

    def takes(self, runner: Runner) -> bool:
        """Whether the run is one of them; it counts as given then. One that its affinity binds to this worker stays."""
        if not self._count or runner.run.affinity or self._engine.clock.monotonic_us() > self._until_us:
            return False
        self._count -= 1
        return True
