"""What was seen of a cluster while it was disturbed: the only thing the checker looks at.

Nothing here is asked of the code under test but the histories themselves. Versions of rows come from a trigger in the
database (see `audit`), executions from a file that the steps write to, faults from whoever caused them, and signals
from the client that was told they are accepted. All times are microseconds of one machine's wall clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import NEVER_US, QueueState, RunRow

WAITS = frozenset(
    {Detail.SLEEPING, Detail.WAITING_SIGNAL, Detail.WAITING_CHILD, Detail.RETRYING, Detail.PAUSED, Detail.STUCK}
)


@dataclass(frozen=True, slots=True)
class Version:
    """A run's row as one committed write left it. ``order`` rises with the writes of a run; ``unread``: how many
    messages its inbox holds."""

    order: int
    at_us: int
    run_id: str
    state: State
    detail: Detail
    epoch: int
    owner: int | None
    length: int
    wake_us: int | None = None
    queue: str = ""
    unread: int = 0

    @property
    def due_us(self) -> int:
        """From when on somebody has to go on with it; `NEVER_US` if nobody has."""
        if self.state is not State.RUNNING:
            return NEVER_US
        if self.unread:
            return self.at_us
        if self.detail in WAITS and self.wake_us is None:
            return NEVER_US
        return max(self.at_us, self.wake_us or 0)


@dataclass(frozen=True, slots=True)
class Execution:
    """A step that began, as its own process wrote it down. ``token`` is unique, and part of the step's result."""

    at_us: int
    pid: int
    run_id: str
    occurrence: int
    token: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A process was stopped, and went on."""

    pid: int
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class SentSignal:
    """A signal that the server said is accepted (or, ``is_accepted`` False, may have accepted: the answer was
    lost)."""

    run_id: str
    id: str
    is_accepted: bool = True


@dataclass(frozen=True, slots=True)
class Interval:
    """A time during which nothing could be expected to go on: the database is down, or no server, or no worker."""

    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class Observed:
    """All of it. ``expected``: the result of each run that was started; ``processes``: the process of each session;
    ``limits``: how many runs of a queue may be RUNNING at once; ``lease_us``: of the workers' sessions."""

    rows: Mapping[str, RunRow]
    histories: Mapping[str, Sequence[AnyEvent]]
    expected: Mapping[str, object]
    versions: Sequence[Version]
    executions: Sequence[Execution]
    processes: Mapping[int, int]
    signals: Sequence[SentSignal] = ()
    outages: Sequence[Interval] = ()
    stops: Sequence[Stop] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    queues: Sequence[QueueState] = ()
    lease_us: int = 10_000_000
    ended_us: int = 0
