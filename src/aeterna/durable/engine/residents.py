"""The runs in memory: a bounded cache."""

from __future__ import annotations

from aeterna.durable.engine.runner import Runner
from aeterna.kernel.limits import Limits


class Residents:
    """Runners by run id, with the limits on how many there may be."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._runners: dict[str, Runner] = {}
        self._waiting: dict[Runner, int] = {}
        self._reserved = 0

    def all(self) -> list[Runner]:
        """Every resident run."""
        return list(self._runners.values())

    def get(self, run_id: str) -> Runner | None:
        """The runner of a run, None if it is not in memory."""
        return self._runners.get(run_id)

    @property
    def room(self) -> int:
        """How many more runs may execute now; those that only wait do not count, or parents could starve their
        children."""
        executing = len(self._runners) - len(self._waiting)
        return self._limits.running_runs_max - executing - self._reserved

    def reserve(self) -> bool:
        """Keep a place for a run that is being created."""
        if self.room <= 0:
            return False
        self._reserved += 1
        return True

    def unreserve(self) -> None:
        """The place is used by `add`, or not needed."""
        self._reserved -= 1

    def add(self, runner: Runner) -> None:
        """A run came into memory."""
        self._runners[runner.id] = runner

    def remove(self, runner: Runner) -> bool:
        """A run left memory; False if it had left before."""
        if self._runners.get(runner.id) is not runner:
            return False
        del self._runners[runner.id]
        self._waiting.pop(runner, None)
        return True

    def note_waiting(self, runner: Runner, *, is_waiting: bool, now_us: int) -> None:
        """A resident run began or stopped to do nothing but wait."""
        if is_waiting and self._runners.get(runner.id) is runner:
            self._waiting.setdefault(runner, now_us)
        else:
            self._waiting.pop(runner, None)

    def waiting_since(self, since_us: int) -> list[Runner]:
        """Those that have done nothing but wait since then, the longest first."""
        return [runner for runner, began_us in self._waiting.items() if began_us <= since_us]

    @property
    def is_expecting(self) -> bool:
        """A run is being created that is to come into memory."""
        return self._reserved > 0

    def surplus(self) -> list[Runner]:
        """Waiting runs to evict so that the cache keeps its bound, the longest waits first.

        A tenth more than needed go, so that a full cache does not sort itself at every start. Evicting the run that
        sleeps longest costs the fewest replays. Runs that wait for children stay: nobody knows when they wake."""
        excess = len(self._runners) - self._limits.resident_runs_max
        if excess <= 0:
            return []
        waiting = [runner for runner in self._waiting if runner.is_waiting and not runner.is_releasing]
        waiting.sort(key=lambda runner: (runner.wake_us or 0, runner.id), reverse=True)
        return waiting[: excess + self._limits.resident_runs_max // 10]
