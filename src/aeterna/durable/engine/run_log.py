"""The writing end of one run's history: what is recorded, what is committed, and what the run has seen of it.

An event that is appended is at once part of the fold, and the workflow code sees it with the next pump, in order,
before it is committed. That is safe because workflow code has no effect outside: whatever has one (a step that is not
pure, a child, the result) waits until everything the code had seen when it asked is committed. So a step's
completion, the timer set after it and the end of the run share one commit, and nothing outside ever depends on
something a crash could take back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import Run, apply
from aeterna.durable.engine.durability import Durability, Level
from aeterna.durable.stores.contract import Append, Head

if TYPE_CHECKING:
    from aeterna.durable.engine.journal import Journal


class Reader(Protocol):
    """Who is told what became of the events."""

    def wake(self) -> None:
        """`RunLog.next_events` has something; called from any place, so the work belongs in a callback of its own."""
        ...

    def on_stored(self) -> None:
        """More is committed; called from a plain callback of the loop."""
        ...

    def on_fenced(self) -> None:
        """Another session owns the run; nothing more can be written."""
        ...

    def start_snapshot_timer(self) -> None:
        """An event waits for the next snapshot; call `RunLog.flush` when the interval is over."""
        ...


class RunLog:
    """The history of one run from where the store's part of it ends."""

    __slots__ = (
        "_consumed",
        "_consumed_last",
        "_head",
        "_journal",
        "_outbox",
        "_policy",
        "_reader",
        "_taken",
        "_undelivered",
        "_unsaved_steps",
        "epoch",
        "key",
        "run",
        "stored",
    )

    def __init__(self, key: int, epoch: int, run: Run, journal: Journal, policy: Durability, reader: Reader) -> None:
        self.key = key
        self.epoch = epoch
        self.run = run
        self.stored = run.length
        self._taken = run.length
        self._journal = journal
        self._policy = policy
        self._reader = reader
        self._outbox: list[ev.AnyEvent] = []
        self._undelivered: list[ev.AnyEvent] = []
        self._head: Head | None = None
        self._consumed: tuple[int, ...] = ()
        self._consumed_last = 0
        self._unsaved_steps = 0

    @property
    def is_clean(self) -> bool:
        """Everything appended is committed, the head included."""
        return self.stored == self.run.length and self._head is None

    def append(self, event: ev.AnyEvent) -> None:
        """Record an event. Raises `IllegalTransitionError`, before anything is written, if the run's state forbids
        it."""
        apply(self.run, event)
        self._outbox.append(event)
        self._undelivered.append(event)
        # The reader is woken before the journal, so that what the code does next can still join the same commit.
        self._reader.wake()
        if self._policy.level is not Level.SNAPSHOT:
            self._journal.mark(self)
            return
        self._unsaved_steps += isinstance(event, ev.StepCompleted | ev.StepFailed)
        if self._unsaved_steps >= self._policy.snapshot_steps:
            self.flush()
        elif len(self._outbox) == 1:
            self._reader.start_snapshot_timer()

    def set_head(self, head: Head) -> None:
        """Change the run's row with the next commit."""
        self._head = head
        self._journal.mark(self)

    def consume(self, number: int) -> None:
        """Take this message out of the inbox with the next commit, which is that of the events appended before; one
        that was taken out before is passed over, as an inbox may be read while a commit is on its way."""
        if number > self._consumed_last:
            self._consumed_last = number
            self._consumed += (number,)
            self._journal.mark(self)

    def flush(self) -> None:
        """Commit what is recorded, whatever the policy would wait for."""
        if self._outbox or self._head is not None:
            self._journal.mark(self)

    def next_events(self) -> list[ev.AnyEvent]:
        """What was appended since the last call, in order."""
        events, self._undelivered = self._undelivered, []
        return events

    # The journal's side.

    def take(self, now_us: int) -> Append:
        """Everything recorded and not yet committed, as one write."""
        write = Append(self.key, self.epoch, self._taken, tuple(self._outbox), now_us, self._head, self._consumed)
        self._taken += len(self._outbox)
        self._outbox.clear()
        self._head = None
        self._consumed = ()
        self._unsaved_steps = 0
        return write

    def committed(self, write: Append) -> None:
        """The write is in the store."""
        self.stored = write.first + len(write.events)
        self._reader.on_stored()

    def fenced(self) -> None:
        """The write was refused."""
        self._reader.on_fenced()
