"""What a run waits for, and what would make it go on.

Pure: the run's row and history, how its queue stands, and who the workers are, go in; words come out. What stands in
the way first comes first, the others after it (`Why.also`): a run that sleeps while no worker has its code is told
both.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from aeterna.durable.core import events as ev
from aeterna.durable.core import gcra
from aeterna.durable.core.cursor import key_of
from aeterna.durable.core.fold import Run, fold
from aeterna.durable.core.identity import Key
from aeterna.durable.core.moments import span, when
from aeterna.durable.core.states import Detail, State
from aeterna.durable.core.why_facts import Facts, Kind, Place, Row, Why, listed

NEVER_US = 2**62
"""See ``stores.contract``: whoever has such a wake time waits for a message."""
_SHOWN_MAX = 3


def why(facts: Facts) -> Why:
    """What the run waits for."""
    reasons = _reasons(facts)
    first = reasons[0]
    return structs.replace(first, run_id=facts.row.id, also=tuple(reasons[1:]))


def awaited_child(history: Sequence[ev.AnyEvent]) -> str | None:
    """The child that the run waits for, the one it asked for first; None = it waits for none."""
    return next(iter(fold(history).children.values()), None)


def _reasons(facts: Facts) -> list[Why]:
    row = facts.row
    if row.state.is_final:
        ended = when(row.finished_us or facts.now_us, facts.now_us)
        return [Why(Kind.ENDED, f"it has ended: {row.state.value} at {ended}", "nothing: it is over")]
    run = fold(facts.history)
    if row.detail is Detail.STUCK:
        return [_stuck(row)]
    if run.is_paused:
        return [_paused(facts)]
    if row.owner is not None:
        waits = _waits(facts, run)
        return [_executing(facts), *waits] if row.detail is Detail.LEASED else [*waits, _executing(facts)]
    if row.state is State.PENDING:
        return _before_start(facts)
    return [*_waits(facts, run), *_nobody(facts)] or [_sleeping_row(row, facts.now_us)]


def _stuck(row: Row) -> Why:
    again = f"`aeterna workflow resume {row.id}` lets it be tried again"
    if row.crashes:
        text = f"{row.crashes} workers in a row died while they executed it: {row.note or 'no reason is known'}"
        return Why(Kind.POISON, text, f"find out what kills them; then {again}")
    reason = row.note or "the reason is in the log of the worker that had it"
    return Why(Kind.STUCK, f"it is stuck: {reason}", f"a worker whose code fits its history; {again}")


def _paused(facts: Facts) -> Why:
    paused = next(event for event in reversed(facts.history) if isinstance(event, ev.RunPaused))
    since = when(paused.at_us, facts.now_us)
    reason = f": {paused.reason}" if paused.reason else ""
    return Why(Kind.PAUSED, f"it is paused since {since}{reason}", f"`aeterna workflow resume {facts.row.id}`")


def _executing(facts: Facts) -> Why:
    row = facts.row
    label = next((worker.label for worker in facts.workers if worker.session == row.owner), f"session {row.owner}")
    started = next((event.at_us for event in reversed(facts.history) if isinstance(event, ev.RunStarted)), None)
    if started is None:
        return Why(Kind.EXECUTING, f"{label} has just taken it and begins", "nothing: it is about to begin")
    text = f"{label} has had it since {when(started, facts.now_us)}"
    unblocks = "the end of the step it executes; if that worker dies, another one goes on"
    return Why(Kind.EXECUTING, text, unblocks)


def _before_start(facts: Facts) -> list[Why]:
    """A run that nobody has and that has not begun."""
    row, now_us = facts.row, facts.now_us
    reasons: list[Why] = []
    if row.wake_us is not None and row.wake_us > now_us:
        text = f"its start is delayed until {when(row.wake_us, now_us)}"
        reasons.append(Why(Kind.DELAYED, text, "that time", row.wake_us))
    if facts.place is not None:
        reasons += _limits(facts.place, row, now_us)
    reasons += _no_worker(facts)
    if not reasons:
        reasons.append(_behind(facts))
    return reasons


def _limits(place: Place, row: Row, now_us: int) -> list[Why]:
    name = f"queue {place.queue!r}"
    reasons: list[Why] = []
    if place.is_paused:
        reasons.append(Why(Kind.QUEUE_PAUSED, f"{name} is paused", f"`aeterna queue resume {place.queue}`"))
    if place.concurrency is not None and place.running >= place.concurrency:
        text = f"{name} has {place.running} runs going, and its limit is {place.concurrency}{_ahead(place)}"
        unblocks = f"the end of one of them, or `aeterna queue put {place.queue} --concurrency N` with a higher N"
        reasons.append(Why(Kind.CONCURRENCY, text, unblocks))
    if place.concurrency_per_share is not None and place.running_of_share >= place.concurrency_per_share:
        text = (
            f"share {row.share!r} of {name} has {place.running_of_share} runs going, and the limit of each share is "
            f"{place.concurrency_per_share}"
        )
        reasons.append(Why(Kind.CONCURRENCY, text, "the end of one of them"))
    if place.rate is not None and not gcra.starts_left(place.rate, place.tat_us, now_us):
        next_us = gcra.next_start_us(place.rate, place.tat_us, now_us)
        text = (
            f"{name} starts {place.rate.starts} runs per {span(place.rate.period_us)}, and the next one at "
            f"{when(next_us, now_us)}{_ahead(place)}"
        )
        reasons.append(Why(Kind.RATE, text, "that time", next_us))
    return reasons


def _ahead(place: Place) -> str:
    return f"; {_count(place.ahead, 'run')} of it come before this one" if place.ahead else ""


def _behind(facts: Facts) -> Why:
    place = facts.place
    if place is not None and place.ahead:
        text = f"it is queued behind {_count(place.ahead, 'run')} of queue {place.queue!r}"
        return Why(Kind.BEHIND, text, "room at a worker: one that ends a run, or one more worker")
    return Why(Kind.CLAIMABLE, "it may start", "room at a worker: the next one that has some takes it")


def _waits(facts: Facts, run: Run) -> list[Why]:
    """What a run that has begun waits for itself."""
    row, now_us = facts.row, facts.now_us
    reasons: list[Why] = []
    if run.cancel_reason is not None:
        reason = f": {run.cancel_reason}" if run.cancel_reason else ""
        reasons.append(Why(Kind.CANCELLING, f"it was asked to cancel and cleans up{reason}", "the end of its clean-up"))
    for key, retry in list(run.retries.items())[:_SHOWN_MAX]:
        text = f"step {key.name!r} is tried again, attempt {retry.attempt}, at {when(retry.next_us, now_us)}"
        reasons.append(Why(Kind.RETRYING, text + _error(facts.history, key), "that time", retry.next_us))
    if row.detail is Detail.WAITING_SIGNAL:
        name = row.note or "a signal"
        unblocks = f"`aeterna workflow signal {row.id} NAME`, or the program's handle.signal()"
        reasons.append(Why(Kind.SIGNAL, f"it waits for {name}", unblocks))
    timers = sorted(run.timers.values())
    if timers:
        reasons.append(Why(Kind.SLEEPING, f"it sleeps until {when(timers[0], now_us)}", "that time", timers[0]))
    for child in list(run.children.values())[:_SHOWN_MAX]:
        because = facts.child if facts.child is not None and facts.child.run_id == child else None
        text = f"it waits for its child {child}"
        reasons.append(Why(Kind.CHILD, text, "the end of that run", because=because))
    return reasons


def _nobody(facts: Facts) -> list[Why]:
    """A run that has begun and that nobody has."""
    row = facts.row
    reasons = _no_worker(facts)
    is_due = row.wake_us is None or row.wake_us <= facts.now_us or facts.unread > 0
    if not reasons and is_due:
        inbox = f", and {_count(facts.unread, 'message')} in its inbox wait" if facts.unread else ""
        text = f"nobody has it at the moment{inbox}"
        reasons.append(Why(Kind.CLAIMABLE, text, "room at a worker: the next one that has some takes it"))
    return reasons


def _sleeping_row(row: Row, now_us: int) -> Why:
    """A run whose history names no wait: only its row says when it goes on."""
    if row.wake_us is None or row.wake_us == NEVER_US:
        return Why(Kind.SIGNAL, "it waits for a message", f"`aeterna workflow signal {row.id} NAME`")
    return Why(Kind.SLEEPING, f"it goes on at {when(row.wake_us, now_us)}", "that time", row.wake_us)


def _no_worker(facts: Facts) -> list[Why]:
    row = facts.row
    if not facts.workers:
        text = "no worker is connected"
        return [Why(Kind.NO_WORKER, text, f"start a worker that has workflow {row.workflow!r}")]
    lacking = [(worker.label, worker.lacks(row)) for worker in facts.workers]
    if any(lack is None for _, lack in lacking):
        return []
    shown = "; ".join(f"{label} {lack}" for label, lack in lacking[:_SHOWN_MAX])
    more = f"; and {len(lacking) - _SHOWN_MAX} more" if len(lacking) > _SHOWN_MAX else ""
    needs = [f"workflow {row.workflow!r} of version {row.version!r}"]
    if row.queue and row.state is State.PENDING:
        needs.append(f"queue {row.queue!r}")
    if row.requires:
        needs.append(listed(row.requires))
    return [Why(Kind.NO_WORKER, f"no worker can execute it: {shown}{more}", f"start a worker with {', '.join(needs)}")]


def _error(history: Sequence[ev.AnyEvent], key: Key) -> str:
    """The error of a step's last attempt."""
    tries = (event for event in reversed(history) if isinstance(event, ev.StepRetrying))
    error = next(event.error for event in tries if key_of(event) == key)
    return f", after {error.type.rpartition(':')[2]}: {error.message}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
