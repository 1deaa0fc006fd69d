"""One run as the memory store keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.segment import decode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Choice,
    CreateRun,
    Events,
    Head,
    Message,
    MessageKind,
    Post,
    Posted,
    RunRow,
    Sealed,
)


@dataclass(slots=True)
class MemoryRun:
    """A run, its history, and what was posted to it. ``ids``: the number that each message id has got, for ever;
    ``claimed_length``: how long the history was when the present owner took the run."""

    key: int
    id: str
    workflow: str
    version: str
    parent: str | None
    state: State
    detail: Detail
    epoch: int
    owner: int | None
    created_us: int
    updated_us: int
    finished_us: int | None
    wake_us: int | None = None
    note: str = ""
    queue: str = ""
    priority: int = 0
    share: str = ""
    requires: tuple[str, ...] = ()
    singleton: str | None = None
    crashes: int = 0
    claimed_length: int = 0
    events: list[AnyEvent] = field(default_factory=list)
    inbox: list[Message] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    posted: int = 0

    @classmethod
    def of(cls, key: int, write: CreateRun, owner: int | None) -> MemoryRun:
        """The run that a creation makes."""
        events = open_events(write.events)
        last_us = events[-1].at_us
        is_final = write.state.is_final
        run = cls(
            key=key,
            id=write.id,
            workflow=write.workflow,
            version=write.version,
            parent=write.parent,
            state=write.state,
            detail=write.detail,
            epoch=0 if write.owner is None else 1,
            owner=None if is_final else owner,
            created_us=events[0].at_us,
            updated_us=max(events[0].at_us, last_us),
            finished_us=last_us if is_final else None,
            claimed_length=len(events),
            events=events,
        )
        run.wake_us, run.singleton = write.wake_us, write.singleton
        run.queue, run.priority, run.share, run.requires = write.queue, write.priority, write.share, write.requires
        return run

    def row(self) -> RunRow:
        """The run's row."""
        return RunRow(
            key=self.key,
            id=self.id,
            workflow=self.workflow,
            version=self.version,
            state=self.state,
            detail=self.detail,
            created_us=self.created_us,
            updated_us=self.updated_us,
            length=len(self.events),
            epoch=self.epoch,
            owner=self.owner,
            wake_us=self.wake_us,
            finished_us=self.finished_us,
            parent=self.parent,
            note=self.note,
            queue=self.queue,
            priority=self.priority,
            share=self.share,
            requires=self.requires,
            crashes=self.crashes,
        )

    @property
    def has_place(self) -> bool:
        """It takes one of the places of its queue: it has begun, or somebody is about to begin it."""
        return self.state is State.RUNNING or (self.state is State.PENDING and self.owner is not None)

    def is_due(self, now_us: int) -> bool:
        """Nobody owns it and its time has come."""
        return self.owner is None and (self.wake_us is None or self.wake_us <= now_us)

    def suits(self, choice: Choice) -> bool:
        """A worker that can execute ``choice`` can execute it."""
        return (
            (choice.workflows is None or (self.workflow, self.version) in choice.workflows)
            and (choice.queues is None or not self.queue or self.queue in choice.queues)
            and set(self.requires) <= set(choice.capabilities)
        )

    def take(self, session: int) -> RunRow:
        """A session owns it from now on."""
        self.owner = session
        self.epoch += 1
        self.claimed_length = len(self.events)
        return self.row()

    def disown(self, *, died: bool = False) -> None:
        """Nobody owns it from now on."""
        if died:
            # Taking it over records one event, that it was taken over, which is no progress.
            recorded = len(self.events) - self.claimed_length
            if recorded > 1:
                self.crashes = 0
            elif not (recorded and self.detail.needs_no_worker):
                self.crashes += 1
        self.owner = None
        self._heed_inbox()

    def change(self, head: Head, at_us: int) -> None:
        """An append changes the row."""
        self.state, self.detail, self.note = head.state, head.detail, head.note
        self.wake_us, self.updated_us = head.wake_us, at_us
        self.finished_us = at_us if head.state.is_final else None
        if head.state.is_final or head.release:
            self.owner = None
        if not head.state.is_final:
            self._heed_inbox()

    def debounce(self, write: CreateRun) -> None:
        """A later call of the same singleton takes the place of the one that made the run, before anybody has it."""
        if self.singleton == write.singleton and self.state is State.PENDING and not self.epoch:
            self.events, self.wake_us = open_events(write.events), write.wake_us
            self._heed_inbox()

    def post(self, write: Post) -> Posted:
        """A message for its inbox."""
        if write.id in self.ids:
            return Posted(self.ids[write.id], self.owner, is_duplicate=True)
        self.posted += 1
        if write.id:
            self.ids[write.id] = self.posted
        self.inbox.append(Message(self.posted, write.id, write.kind, write.name, write.payload, write.at_us))
        self._heed_inbox()
        return Posted(self.posted, self.owner)

    def consume(self, numbers: tuple[int, ...]) -> None:
        """These messages are part of the history."""
        if numbers:
            self.inbox = [message for message in self.inbox if message.number not in numbers]

    def _heed_inbox(self) -> None:
        """A message moves a run that nobody owns, but a signal moves none that is paused or has not begun."""
        is_deaf = self.detail is Detail.PAUSED or self.state is State.PENDING
        if self.owner is None and any(not is_deaf or each.kind is not MessageKind.SIGNAL for each in self.inbox):
            self.wake_us = None


def open_events(events: Events) -> list[AnyEvent]:
    """The events, also of a sealed segment."""
    return decode_segment(events.body) if isinstance(events, Sealed) else list(events)
