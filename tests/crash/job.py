"""What one life of the worker is to do, as it is handed to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from aeterna import Level, Limits
from aeterna.testing.crash import Counted, CrashPoint
from aeterna.testing.faults import Moment


@dataclass(frozen=True, slots=True)
class Job:
    """One life.

    ``directory`` holds the store and the log; ``output`` is the file in it for what is acknowledged, "" the standard
    output, which gets the log too. ``kill_number`` 0: live to the end. ``die_in``: the name of a step to be killed in.
    ``bare``: nothing of ours stands between the engine and its store, so nothing kills or counts.
    ``runs`` and ``length`` say how much there is to do, ``residents`` how many runs may stay in memory; the last three
    are the durability.
    """

    directory: str
    scenario: str
    output: str = ""
    kill_number: int = 0
    kill_moment: str = Moment.AFTER.value
    kill_counted: str = Counted.COMMITS.value
    split: bool = False
    bare: bool = False
    die_in: str = ""
    runs: int = 1
    length: int = 10
    residents: int = Limits().resident_runs_max
    step_s: float = 0.0
    nap_s: float = 0.01
    level: str = Level.LOG.value
    snapshot_steps: int = 100
    snapshot_ms: int = 1000

    @property
    def store(self) -> Path:
        return Path(self.directory) / "store.db"

    @property
    def log(self) -> Path:
        return Path(self.directory) / "executions"

    @property
    def crash_point(self) -> CrashPoint | None:
        if not self.kill_number:
            return None
        return CrashPoint(self.kill_number, Moment(self.kill_moment), Counted(self.kill_counted))

    def encode(self) -> str:
        return json.dumps(asdict(self))
