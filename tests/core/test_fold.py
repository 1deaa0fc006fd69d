"""The fold: what a history says about its run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import Run, apply, detail_of, fold, next_wake_us
from aeterna.durable.core.identity import Key, Kind
from aeterna.durable.core.states import Detail, State
from aeterna.kernel.errors import IllegalTransitionError, InvariantError
from tests.core.samples import ERROR, EVENTS, JSON, random_events

CREATED = ev.RunCreated(10, "order", "2", ev.Payload(b"j[[],{}]"), "mother", "3.11")
STARTED = ev.RunStarted(20, 1)
PLACE = ("0", "nap", 1)
TIMER = Key(Kind.TIMER, *PLACE)
STEP = Key(Kind.STEP, *PLACE)
CHILD = Key(Kind.CHILD, *PLACE)


def running(*events: ev.AnyEvent) -> Run:
    return fold([CREATED, STARTED, *events])


def test_a_run_begins_as_what_it_was_created_as() -> None:
    run = fold([CREATED])
    assert (run.state, run.workflow, run.version, run.parent, run.python) == (
        State.PENDING,
        "order",
        "2",
        "mother",
        "3.11",
    )
    assert (run.arguments, run.created_us, run.last_us, run.length) == (b"j[[],{}]", 10, 10, 1)


@pytest.mark.parametrize(
    ("final", "state"),
    [
        (ev.RunCompleted(30, JSON), State.COMPLETED),
        (ev.RunFailed(30, ERROR), State.FAILED),
        (ev.RunCancelled(30, "enough"), State.CANCELLED),
    ],
)
def test_the_final_event_says_how_it_ended(final: ev.AnyEvent, state: State) -> None:
    run = running(final)
    outcome = {State.COMPLETED: run.result, State.FAILED: run.error, State.CANCELLED: run.cancel_reason}
    assert run.state is state
    assert [value is not None for value in outcome.values()] == [key is state for key in outcome]
    with pytest.raises(IllegalTransitionError):
        apply(run, STARTED)


def test_timers_and_children_are_open_from_their_start_to_their_end() -> None:
    run = running(ev.TimerStarted(30, *PLACE, 99), ev.ChildStarted(31, *PLACE, b"f", "c-1"))
    assert (run.timers, run.children, next_wake_us(run)) == ({TIMER: 99}, {CHILD: "c-1"}, 99)
    apply(run, ev.TimerFired(99, *PLACE))
    apply(run, ev.ChildCompleted(100, *PLACE, JSON))
    assert (run.timers, run.children, next_wake_us(run)) == ({}, {}, None)
    apply(run, ev.ChildStarted(101, "0", "nap", 2, b"f", "c-2"))
    apply(run, ev.ChildFailed(102, "0", "nap", 2, ERROR))
    assert run.children == {}


@pytest.mark.parametrize(
    "end",
    [ev.StepCompleted(50, *PLACE, b"f", JSON), ev.StepFailed(50, *PLACE, b"f", ERROR)],
    ids=["completed", "failed"],
)
def test_a_retried_step_waits_until_it_completes_or_fails(end: ev.AnyEvent) -> None:
    run = running(ev.StepRetrying(30, *PLACE, b"f", ERROR, 2, 40))
    assert (run.retries[STEP].attempt, run.retries[STEP].next_us, next_wake_us(run)) == (3, 40, 40)
    apply(run, end)
    assert run.retries == {}
    assert run.steps_completed == isinstance(end, ev.StepCompleted)


def test_a_step_that_was_never_retried_leaves_nothing_open() -> None:
    run = running(ev.StepCompleted(30, *PLACE, b"f", JSON), ev.StepFailed(31, "0", "other", 1, b"f", ERROR))
    assert (run.steps_completed, run.retries) == (1, {})


@pytest.mark.parametrize("kind", [Kind.TIMER, Kind.CHILD, Kind.STEP])
def test_what_is_abandoned_is_open_no_more(kind: Kind) -> None:
    run = running(
        ev.TimerStarted(30, *PLACE, 99),
        ev.ChildStarted(30, *PLACE, b"f", "c"),
        ev.StepRetrying(30, *PLACE, b"f", ERROR, 1, 40),
        ev.WaitAbandoned(31, *PLACE, kind.value),
    )
    open_now = {Kind.TIMER: run.timers, Kind.CHILD: run.children, Kind.STEP: run.retries}
    assert {key for key, waits in open_now.items() if not waits} == {kind}


@pytest.mark.parametrize(
    "event", [ev.TimerFired(30, *PLACE), ev.ChildCompleted(30, *PLACE, JSON), ev.ChildFailed(30, *PLACE, ERROR)]
)
def test_an_end_without_a_beginning_is_a_broken_history(event: ev.AnyEvent) -> None:
    with pytest.raises(InvariantError, match=r"'nap' #1 of task 0 (fired|ended) but was not"):
        running(event)


DETAILS = [
    ([], False, Detail.LEASED),
    ([ev.TimerStarted(30, *PLACE, 99)], False, Detail.SLEEPING),
    ([ev.TimerStarted(30, *PLACE, 99)], True, Detail.LEASED),
    ([ev.ChildStarted(30, *PLACE, b"f", "c")], False, Detail.WAITING_CHILD),
    ([ev.StepRetrying(30, *PLACE, b"f", ERROR, 1, 40), ev.TimerStarted(30, *PLACE, 99)], False, Detail.RETRYING),
    ([ev.CancelRequested(30, "why")], False, Detail.CANCELLING),
    ([ev.RunPaused(30, "why", 1)], False, Detail.PAUSED),
    ([ev.RunPaused(30, "why", 1)], True, Detail.LEASED),
    ([ev.RunPaused(30), ev.RunResumed(31)], False, Detail.LEASED),
    ([ev.RunPaused(30), ev.CancelRequested(31)], False, Detail.CANCELLING),
    ([ev.CancelRequested(30), ev.RunPaused(31)], False, Detail.CANCELLING),
    ([ev.RunCompleted(30, JSON)], False, Detail.NONE),
]


@pytest.mark.parametrize(("events", "executing", "detail"), DETAILS)
def test_the_detail_says_what_a_run_is_doing(events: list[ev.AnyEvent], executing: bool, detail: Detail) -> None:
    assert detail_of(running(*events), executing=executing) is detail


def test_a_run_that_waits_for_a_signal_says_so_unless_a_retry_comes_first() -> None:
    timer = ev.TimerStarted(30, *PLACE, 99)
    assert detail_of(running(timer), executing=False, signals=True) is Detail.WAITING_SIGNAL
    retrying = ev.StepRetrying(30, *PLACE, b"f", ERROR, 1, 40)
    assert detail_of(running(retrying), executing=False, signals=True) is Detail.RETRYING


def test_a_run_can_be_paused_before_it_begins() -> None:
    run = fold([CREATED, ev.RunPaused(11, "later", 1)])
    assert (run.state, detail_of(run, executing=False)) == (State.PENDING, Detail.PAUSED)
    apply(run, ev.RunResumed(12, 2))
    assert detail_of(run, executing=False) is Detail.QUEUED
    apply(run, ev.CancelRequested(13))
    assert detail_of(run, executing=False) is Detail.QUEUED


def test_the_highest_number_of_a_message_is_remembered() -> None:
    """Numbers rise, so a message with no higher one is recorded already; what has none changes nothing."""
    run = running(ev.SignalReceived(30, 4, "", "go", JSON), ev.RunPaused(31, "", 7), ev.RunResumed(32, 8))
    assert run.last_message == 8
    apply(run, ev.CancelRequested(33, "enough"))
    assert run.last_message == 8
    apply(run, ev.SignalReceived(34, 9, "", "go", JSON))
    assert run.last_message == 9


def test_the_last_heartbeat_of_an_activity_is_kept_until_it_ends() -> None:
    beat = ev.StepHeartbeat(30, *PLACE, b"f", 1, ev.Payload(b"j5"))
    run = running(beat, ev.StepRetrying(31, *PLACE, b"f", ERROR, 1, 40))
    assert run.heartbeats == {STEP: b"j5"}
    apply(run, ev.StepHeartbeat(41, *PLACE, b"f", 2, ev.Payload(b"j9")))
    assert run.heartbeats == {STEP: b"j9"}
    apply(run, ev.StepCompleted(50, *PLACE, b"f", JSON))
    assert run.heartbeats == {}


def test_a_fork_remembers_where_its_history_began() -> None:
    assert fold([ev.RunCreated(10, "order", "2", JSON, None, "3.11", "first")]).origin == "first"


def test_a_queued_run_says_so_and_one_that_is_not_there_says_nothing() -> None:
    assert detail_of(fold([CREATED]), executing=False) is Detail.QUEUED
    assert detail_of(Run(), executing=False) is Detail.NONE


def test_the_earliest_of_timers_and_retries_wakes_the_run() -> None:
    run = running(ev.TimerStarted(30, *PLACE, 99), ev.StepRetrying(30, *PLACE, b"f", ERROR, 1, 40))
    assert next_wake_us(run) == 40


def facts(run: Run) -> dict[str, object]:
    """All that the fold holds, comparable."""
    told = {name: getattr(run, name) for name in Run.__slots__}
    told["retries"] = {key: (retry.attempt, retry.next_us) for key, retry in run.retries.items()}
    return told


def legal(run: Run, event: ev.AnyEvent) -> bool:
    try:
        apply(run, event)
    except InvariantError:
        return False
    return True


@given(st.lists(st.one_of(st.sampled_from(EVENTS), random_events()), max_size=30))
def test_loading_a_history_gives_what_writing_it_gave(candidates: list[ev.AnyEvent]) -> None:
    """Of any events in any order, those that are accepted fold to the state that accepting them one by one led to."""
    written: list[ev.AnyEvent] = []
    run = Run()
    for event in candidates:
        if legal(fold(written), event):
            apply(run, event)
            written.append(event)
    assert facts(fold(written)) == facts(run)
    assert run.length == len(written)
    assert run.state is None or run.state.is_final == (not any(legal(fold(written), event) for event in EVENTS))
