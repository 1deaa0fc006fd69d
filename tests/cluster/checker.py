"""Holds what was seen of a disturbed cluster against what is promised: pure, and it says all that it finds.

Each rule yields the sentences of its violations. A step is named by its place in its run's only task: the occurrence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import State
from aeterna.durable.engine.lease import MARGIN_DIVISOR
from tests.cluster.observed import Execution, Interval, Observed, Stop, Version

RECLAIM_US = 1_000_000
"""A run goes on at the latest so long after the lease of whoever held it is over."""

THAW_US = 100_000
"""So soon after a process goes on it does what it was about to do when it was stopped: two cores may be busy."""

ENDS = (ev.StepCompleted, ev.StepFailed, ev.TimerFired, ev.ChildCompleted, ev.ChildFailed)
FINALS = (ev.RunCompleted, ev.RunFailed, ev.RunCancelled)


def violations(seen: Observed) -> list[str]:
    """Every promise that was broken, in words; none is what a test hopes for."""
    return [
        *unfinished(seen),
        *recorded_twice(seen),
        *made_up(seen),
        *executed_after_record(seen),
        *stale_writes(seen),
        *lost_signals(seen),
        *leaked_slots(seen),
        *stuck(seen),
    ]


class Recorded(NamedTuple):
    """The outcome of a step, by process ``pid``. Its write began at ``at_us`` and was committed by ``known_us``, when
    the next write of the run began."""

    pid: int
    at_us: int
    known_us: int


def unfinished(seen: Observed) -> Iterator[str]:
    """Every run that was started has completed, once, with its result, and its row agrees with its history."""
    for run_id, result in seen.expected.items():
        row, history = seen.rows.get(run_id), seen.histories.get(run_id)
        if row is None or not history:
            yield f"run {run_id} was started and is gone"
            continue
        run = fold(history)
        if (row.state, row.length) != (run.state, len(history)):
            yield f"run {run_id}: its row says {row.state} after {row.length} events, its history {run.state}"
        if row.state is not State.COMPLETED:
            yield f"run {run_id} is {row.state} ({row.detail}) {row.note}"
        elif run.result is None or codec.decode(run.result, Any, "the result") != result:
            yield f"run {run_id} has the result {run.result!r} instead of {result!r}"
        if sum(isinstance(event, FINALS) for event in history) > 1:
            yield f"run {run_id} ended more than once"


def recorded_twice(seen: Observed) -> Iterator[str]:
    """No step, timer or child of a run has two outcomes."""
    for run_id, history in seen.histories.items():
        ends = Counter(_identity(event) for event in history if isinstance(event, ENDS))
        for identity, count in ends.items():
            if count > 1:
                yield f"run {run_id}: {identity} is recorded {count} times"


def made_up(seen: Observed) -> Iterator[str]:
    """Every recorded result is that of an execution which really happened, of that step in that run."""
    happened = {(each.run_id, each.occurrence, each.pid, each.token) for each in seen.executions}
    for run_id, history in seen.histories.items():
        for event in history:
            if isinstance(event, ev.StepCompleted):
                pid, token = _executor(event)
                if (run_id, event.occurrence, pid, token) not in happened:
                    yield f"run {run_id}, step {event.occurrence}: process {pid} never executed {token!r}"


def executed_after_record(seen: Observed) -> Iterator[str]:
    """A step whose outcome is committed is not begun again.

    A process can be stopped between its last look at its lease and the step's first instruction, and nothing in it can
    know. So one step is excused for each time that it goes on (its steps share one thread) if all of this is so: it
    owned the run when it was stopped, for longer than the margin of its lease; another process recorded the step
    meanwhile; and the step is the very first that it begins, as it goes on."""
    recorded = _recorded_us(seen)
    for each in seen.executions:
        done = recorded.get((each.run_id, each.occurrence))
        if done is None or each.at_us <= done.known_us:
            continue
        if not any(_excuses(seen, stop, each, done) for stop in seen.stops):
            late = each.at_us - done.known_us
            yield f"run {each.run_id}, step {each.occurrence}: process {each.pid} began it {late} us after its record"


def _excuses(seen: Observed, stop: Stop, execution: Execution, done: Recorded) -> bool:
    if stop.pid != execution.pid or not 0 <= execution.at_us - stop.to_us <= THAW_US:
        return False
    began_before = (each for each in seen.executions if each.pid == stop.pid and each.at_us >= stop.to_us)
    is_first = next(began_before, None) is execution
    margin_us = seen.lease_us // MARGIN_DIVISOR
    return (
        is_first
        and stop.to_us - stop.from_us > margin_us
        and done.pid != stop.pid
        and done.at_us >= stop.from_us
        and _owner_at(seen, execution.run_id, stop.from_us) == stop.pid
    )


def _owner_at(seen: Observed, run_id: str, at_us: int) -> int | None:
    """The process that had the run at that time."""
    versions = [each for each in seen.versions if each.run_id == run_id and each.at_us <= at_us]
    owner = max(versions, key=lambda version: version.order).owner if versions else None
    return None if owner is None else seen.processes.get(owner)


def stale_writes(seen: Observed) -> Iterator[str]:
    """What was appended came from the process that was given the run's epoch; owners change with epochs, which only
    rise. A run that was given up keeps its epoch, so whoever had it may write until somebody else claims it. So may the
    session for which a run was created, if it ended at that moment: the row never names it, and its first event does.
    """
    for run_id, versions in _by_run(seen.versions).items():
        history = seen.histories.get(run_id, ())
        holder: int | None = None
        for before, after in pairwise([None, *versions]):
            assert after is not None
            yield from _disorder(before, after)
            start = 0 if before is None else before.length
            appended = history[start : after.length]
            holder = holder if after.owner is None else after.owner
            if holder is None and after.epoch == 1:
                holder = next((event.session for event in appended if isinstance(event, ev.RunStarted)), None)
            yield from _foreign(seen, run_id, holder, appended)


def _disorder(before: Version | None, after: Version) -> Iterator[str]:
    if before is None:
        return
    if after.epoch < before.epoch or after.length < before.length:
        yield f"run {after.run_id} went back: {before} -> {after}"
    is_taken_over = after.owner is not None and after.owner != before.owner
    if is_taken_over and after.epoch <= before.epoch:
        yield f"run {after.run_id} changed its owner within one epoch: {before} -> {after}"
    if before.state.is_final and after.length != before.length:
        yield f"run {after.run_id} was written after its end: {before} -> {after}"


def _foreign(seen: Observed, run_id: str, holder: int | None, appended: Iterable[AnyEvent]) -> Iterator[str]:
    for event in appended:
        if isinstance(event, ev.RunStarted) and event.session != holder:
            yield f"run {run_id}: session {event.session} started it while session {holder} had it"
        if isinstance(event, ev.StepCompleted):
            pid, _ = _executor(event)
            if holder is None or seen.processes.get(holder) != pid:
                yield f"run {run_id}, step {event.occurrence}: process {pid} wrote while session {holder} had it"


def lost_signals(seen: Observed) -> Iterator[str]:
    """An accepted signal is in its run's history once, the others at most once, in the order of their numbers."""
    sent = {(each.run_id, each.id): each.is_accepted for each in seen.signals}
    received: Counter[tuple[str, str]] = Counter()
    for run_id, history in seen.histories.items():
        numbers = [event.number for event in history if isinstance(event, ev.SignalReceived)]
        if numbers != sorted(set(numbers)):
            yield f"run {run_id} received its signals out of order: {numbers}"
        received.update((run_id, event.id) for event in history if isinstance(event, ev.SignalReceived))
    for (run_id, signal_id), count in received.items():
        if (run_id, signal_id) not in sent:
            yield f"run {run_id} received a signal {signal_id!r} that nobody sent"
        if count > 1:
            yield f"run {run_id} received the signal {signal_id!r} {count} times"
    for (run_id, signal_id), is_accepted in sent.items():
        if is_accepted and not received[run_id, signal_id]:
            yield f"run {run_id} never received the signal {signal_id!r}, which was accepted"


def leaked_slots(seen: Observed) -> Iterator[str]:
    """Never more runs of a queue are RUNNING than it allows, and in the end its slots are free."""
    running: dict[str, set[str]] = defaultdict(set)
    for each in sorted(seen.versions, key=lambda version: version.at_us):
        if each.queue not in seen.limits:
            continue
        if each.state is State.RUNNING:
            running[each.queue].add(each.run_id)
        else:
            running[each.queue].discard(each.run_id)
        if len(running[each.queue]) > seen.limits[each.queue]:
            yield f"queue {each.queue}: {len(running[each.queue])} runs at once, the limit is {seen.limits[each.queue]}"
    for state in seen.queues:
        if state.running or state.pending:
            yield f"queue {state.queue.name} still holds {state.running} slots, {state.pending} runs wait"


def stuck(seen: Observed) -> Iterator[str]:
    """A run that has begun and is due moves within lease + 1 s, whatever happened to whoever held it."""
    bound_us = seen.lease_us + RECLAIM_US
    for run_id, still_us, since in standstills(seen):
        if still_us > bound_us:
            yield f"run {run_id} stood still for {still_us / 1e6:.2f} s from event {since.length} on: {since}"


def longest_standstill_us(seen: Observed) -> int:
    """How long a run that was due did not move, at most."""
    return max((still_us for _, still_us, _ in standstills(seen)), default=0)


def standstills(seen: Observed) -> Iterator[tuple[str, int, Version]]:
    """How long each run that had begun and was due was not gone on with, each time, outages not counted.

    What is recorded in its history counts as going on, and that another session takes it, which may be lost in its
    turn. That it was taken from a dead session does not: it has not moved yet."""
    for run_id, versions in _by_run(seen.versions).items():
        since: Version | None = None
        for current, following in pairwise([*versions, None]):
            assert current is not None
            if since is None or _has_moved(since, current) or current.due_us < since.due_us:
                since = current
            until_us = seen.ended_us if following is None else following.at_us
            still_us = until_us - since.due_us - _overlap_us(since.due_us, until_us, seen.outages)
            if still_us > 0:
                yield run_id, still_us, since


def _has_moved(before: Version, after: Version) -> bool:
    is_taken = after.owner is not None and after.epoch > before.epoch
    return is_taken or after.length > before.length or after.due_us > after.at_us


def _overlap_us(from_us: int, to_us: int, outages: Sequence[Interval]) -> int:
    """How much of the time is covered by outages, which may cover each other."""
    covered, reached = 0, from_us
    for each in sorted(outages, key=lambda outage: outage.from_us):
        start, end = max(each.from_us, reached), min(each.to_us, to_us)
        if end > start:
            covered += end - start
            reached = end
    return covered


def _by_run(versions: Iterable[Version]) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = defaultdict(list)
    for each in sorted(versions, key=lambda version: version.order):
        found[each.run_id].append(each)
    return found


def _recorded_us(seen: Observed) -> dict[tuple[str, int], Recorded]:
    """When the outcome of each step was committed, and by whom."""
    found: dict[tuple[str, int], Recorded] = {}
    for run_id, versions in _by_run(seen.versions).items():
        history = seen.histories.get(run_id, ())
        start = 0
        for current, following in pairwise(versions):
            for event in history[start : current.length]:
                if isinstance(event, ev.StepCompleted):
                    pid, _ = _executor(event)
                    found[run_id, event.occurrence] = Recorded(pid, current.at_us, following.at_us)
            start = current.length
    return found


def _executor(event: ev.StepCompleted) -> tuple[int, str]:
    """Who made this result: every step of these programs returns its process and a token."""
    pid, token = codec.decode(event.result, tuple[int, str], "the result of a step")
    return pid, token


def _identity(event: ev.KeyedEvent) -> tuple[str, str, str, int]:
    kind = "timer" if isinstance(event, ev.TimerFired) else "step or child"
    return kind, event.path, event.name, event.occurrence
