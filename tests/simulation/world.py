"""What is outside of the simulated processes and survives them: what was executed, decided, acknowledged and committed.

It checks while it watches: a committed completion is never executed again, decisions are repeated word for word, and
epochs
and sessions only rise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import (
    ANY,
    Append,
    Appended,
    Choice,
    Created,
    CreateRun,
    Events,
    FullStore,
    Outcome,
    RunRow,
    Sealed,
    Write,
)
from aeterna.testing.faults import FaultyStore


class Violation(AssertionError):
    """The engine broke a promise."""


class World:
    """See the module. ``life`` counts the processes: what a dead one's leftovers say is not heard."""

    def __init__(self) -> None:
        self.executions: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self.interrupted: Counter[str] = Counter()
        self.completed: set[str] = set()
        self.decisions: dict[str, list[str]] = defaultdict(list)
        self.crashes = 0
        self.is_process_dead = False
        self.life = 0
        self._in_flight: set[str] = set()
        self._places: Counter[str] = Counter()

    # What steps and workflows tell.

    def begin(self, label: str) -> int:
        before = self.executions[label]
        if self.is_process_dead:
            return before
        if label in self.completed:
            raise Violation(f"step {label} is executed again after its completion was committed")
        if label in self._in_flight:
            raise Violation(f"step {label} is executed twice at the same time")
        self._in_flight.add(label)
        self.executions[label] += 1
        return before

    def incarnate(self, run_id: str) -> int:
        """The run's code starts from the beginning, live or on replay; returns the life to name in `note`."""
        self._places[run_id] = 0
        return self.life

    def note(self, life: int, run_id: str, decision: str, *, is_replaying: bool) -> None:
        """A decision that depended on who was first. A replayed one was made in an earlier life, and must be the
        same."""
        if self.is_process_dead or life != self.life:
            return
        place = self._places[run_id]
        self._places[run_id] += 1
        known = self.decisions[run_id]
        if not is_replaying:
            # What came after this place was decided from events that a crash took back.
            del known[place:]
        if place == len(known):
            known.append(decision)
        elif known[place] != decision:
            raise Violation(f"run {run_id}, decision {place} was {known[place]!r}, is {decision!r} on replay")

    def process_started(self) -> None:
        """A new life begins."""
        self.life += 1
        self.is_process_dead = False

    # What the store tells.

    def recorded(self, event: ev.AnyEvent) -> None:
        """An event was committed."""
        match event:
            case ev.StepCompleted():
                label = codec.decode(event.result, str, "label")
                if label in self.completed:
                    raise Violation(f"two completions of step {label} were recorded")
                self.completed.add(label)
            case ev.StepFailed() | ev.StepRetrying():
                label = event.error.message
            case _:
                return
        self.records[label] += 1
        self._in_flight.discard(label)

    def process_ended(self) -> None:
        """What had begun and was not recorded may begin once more."""
        self.interrupted.update(self._in_flight)
        self._in_flight.clear()

    def check_executions(self) -> None:
        """Executions per step: one for each record, and at most one for each process end that caught it in flight."""
        for label, count in self.executions.items():
            allowed = self.records[label] + self.interrupted[label]
            if count > allowed:
                raise Violation(f"step {label} was executed {count} times, {allowed} allowed")


class WatchedStore(FaultyStore):
    """The real store, with the world watching what is committed and claimed."""

    def __init__(self, inner: FullStore, world: World) -> None:
        super().__init__(inner)
        self._world = world
        self._epochs: dict[int, int] = {}
        self._sessions: list[int] = []

    async def open_session(
        self, at_us: int, host: str, pid: int, *, lease_us: int | None = None, name: str = "", about: str = "{}"
    ) -> int:
        session = await self.inner.open_session(at_us, host, pid, lease_us=lease_us, name=name, about=about)
        if self._sessions and session <= self._sessions[-1]:
            raise Violation(f"session {session} came after {self._sessions}")
        self._sessions.append(session)
        return session

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = await self.inner.commit(writes)
        self._see_outcomes(writes, outcomes)
        return outcomes

    def _see_outcomes(self, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
        for write, outcome in zip(writes, outcomes, strict=True):
            match write, outcome:
                case Append(), Appended():
                    self._see_epoch(write.key, write.epoch)
                    self._see(write.events)
                case CreateRun(), Created():
                    self._see_epoch(outcome.key, outcome.epoch)
                    self._see(write.events)

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        outcomes = self.inner.commit_at_once(writes)
        if outcomes is not None:
            self._see_outcomes(writes, outcomes)
        return outcomes

    async def claim(self, session: int, now_us: int, limit: int, choice: Choice = ANY) -> list[RunRow]:
        rows = await self.inner.claim(session, now_us, limit, choice)
        for row in rows:
            self._see_epoch(row.key, row.epoch)
        return rows

    async def claim_run(self, session: int, run_id: str, *, by_force: bool = False) -> RunRow | None:
        row = await self.inner.claim_run(session, run_id, by_force=by_force)
        if row is not None:
            self._see_epoch(row.key, row.epoch)
        return row

    def _see_epoch(self, key: int, epoch: int) -> None:
        if epoch < self._epochs.get(key, 0):
            raise Violation(f"run {key} was written in epoch {epoch} after {self._epochs[key]}")
        self._epochs[key] = epoch

    def _see(self, events: Events) -> None:
        assert not isinstance(events, Sealed)
        for event in events:
            self._world.recorded(event)


def check_history(run_id: str, history: Sequence[ev.AnyEvent], row: RunRow) -> None:
    """The row is the fold of the history (fold itself refuses illegal ones), and sessions only rise."""
    from aeterna.durable.core.fold import fold

    run = fold(history)
    if (run.state, run.length) != (row.state, row.length):
        raise Violation(f"run {run_id}: the row says {row.state} {row.length}, the history {run.state} {run.length}")
    sessions = [event.session for event in history if isinstance(event, ev.RunStarted)]
    if sessions != sorted(sessions):
        raise Violation(f"run {run_id}: sessions {sessions} went back")
    if row.state is State.CANCELLED and run.cancel_reason is None:
        raise Violation(f"run {run_id} was cancelled without being asked to")
