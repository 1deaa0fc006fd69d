"""Whether the content of a store is what engines write: every history reads, folds, and says what its row says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import Run, apply
from aeterna.durable.core.segment import decode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.ledger import Finding, Ledger, RunRecord, SegmentRecord, Wanted
from aeterna.kernel.errors import AeternaError, SerializationError

PAYLOAD_FIELDS = ("result", "arguments", "payload", "details")

_STATES, _DETAILS = frozenset(State), frozenset(Detail)


async def audit(
    ledger: Ledger, auditor: Auditor, saw_run: Callable[[], None], *, is_quick: bool = False
) -> AsyncIterator[Finding]:
    """Everything that is wrong with the store. ``saw_run`` is called after each run. A store too damaged to be read on
    ends with a finding, not an error."""
    try:
        async for finding in ledger.storage_findings(is_quick=is_quick):
            yield finding
        seen = 0
        async for run, segment in ledger.entries(Wanted()):
            for finding in auditor.take(run, segment):
                yield finding
            if auditor.runs != seen:
                seen = auditor.runs
                saw_run()
        for finding in auditor.end():
            yield finding
        async for message in ledger.messages():
            problem = _unreadable(ev.Payload(message.payload), f"message {message.number} in its inbox")
            if problem:
                yield Finding(problem, message.namespace, message.run)
    except AeternaError as error:
        yield Finding(str(error))


class Auditor:
    """Looks at the entries of a ledger one after the other. ``runs``, ``events``: how many it has seen.

    ``understands``: also what events mean, not only whether they are all there."""

    def __init__(self, *, understands: bool = True) -> None:
        self._understands = understands
        self.runs = 0
        self.events = 0
        self._history: _History | None = None

    def take(self, run: RunRecord, segment: SegmentRecord | None) -> Iterator[Finding]:
        """The findings about this entry, and what is left to say of the run before it."""
        history = self._history
        if history is None or history.record.key != run.key:
            yield from self.end()
            self.runs += 1
            self._history = history = _History(run, folds=self._understands)
        if segment is not None:
            yield from history.add(segment)
            self.events += segment.events

    def end(self) -> Iterator[Finding]:
        """What is left to say of the last run."""
        history, self._history = self._history, None
        if history is not None:
            yield from history.end()


class _History:
    """One run whose history is being read."""

    def __init__(self, record: RunRecord, *, folds: bool) -> None:
        self.record = record
        self._understands = folds
        self._run = Run()
        self._next = 0
        self._folds = folds

    def add(self, segment: SegmentRecord) -> Iterator[Finding]:
        first, count, body = segment
        if first > self._next:
            yield self._finding(f"events {self._next} to {first - 1} are missing", self._next)
            self._folds = False
        elif first < self._next:
            yield self._finding(f"there are several events of the numbers {first} to {self._next - 1}", first)
            self._folds = False
        self._next = max(self._next, first + count)
        try:
            events = decode_segment(body)
        except AeternaError as error:
            yield self._finding(f"it cannot be read: {error}", first)
            self._folds = False
            return
        if len(events) != count:
            yield self._finding(f"the segment holds {len(events)} events instead of {count}", first)
            self._folds = False
        for number, event in enumerate(events if self._understands else (), first):
            yield from self._payload_findings(number, event)
            yield from self._fold(number, event)

    def end(self) -> Iterator[Finding]:
        record = self.record
        if not self._next:
            yield self._finding("it has no history", 0)
        if record.length is not None and record.length != self._next:
            yield self._finding(f"its row says that there are {record.length} events, its history has {self._next}")
        if record.state not in _STATES or record.detail not in _DETAILS:
            yield self._finding(f"its row has an unknown state {record.state!r} or detail {record.detail!r}")
            return
        is_final = State(record.state).is_final
        if is_final != (record.finished_us is not None):
            yield self._finding(f"its row is {record.state}, which does not fit finished_us {record.finished_us}")
        if self._understands and is_final != (record.detail == Detail.NONE):
            yield self._finding(f"its row is {record.state}, which does not fit the detail {record.detail!r}")
        if self._folds and self._next:
            yield from self._disagreements()

    def _fold(self, number: int, event: ev.AnyEvent) -> Iterator[Finding]:
        if not self._folds:
            return
        try:
            apply(self._run, event)
        except AeternaError as error:
            yield self._finding(str(error), number)
            self._folds = False

    def _disagreements(self) -> Iterator[Finding]:
        """Where the row says something else than the history."""
        record, run = self.record, self._run
        pairs = (
            ("state", record.state, run.state),
            ("workflow", record.workflow, run.workflow),
            ("version", record.version, run.version),
            ("parent", record.parent, run.parent),
            ("created_us", record.created_us, run.created_us),
        )
        for name, said, told in pairs:
            if said != told:
                yield self._finding(f"its row says that {name} is {said!s}, its history says {told!s}", run.length - 1)
        if run.last_message > record.posted:
            problem = f"its history holds message {run.last_message}, but only {record.posted} were posted"
            yield self._finding(problem, run.length - 1)

    def _payload_findings(self, number: int, event: ev.AnyEvent) -> Iterator[Finding]:
        for name, payload in payloads_of(event):
            problem = _unreadable(payload, name)
            if problem:
                yield self._finding(problem, number)

    def _finding(self, problem: str, event: int | None = None) -> Finding:
        return Finding(problem, self.record.namespace, self.record.id, event)


def _unreadable(payload: ev.Payload, name: str) -> str:
    """Why the value cannot be read; '' if it can."""
    try:
        codec.decode(payload, Any, name)
    except SerializationError as error:
        return str(error)
    return ""


def payloads_of(event: ev.AnyEvent) -> Iterator[tuple[str, ev.Payload]]:
    """The encoded values of an event, with what they are."""
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in PAYLOAD_FIELDS:
            yield name, value
        elif isinstance(value, ev.ErrorRecord) and value.arguments is not None:
            yield f"{name}.arguments", value.arguments
