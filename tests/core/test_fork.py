"""The history that a fork begins with."""

from __future__ import annotations

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import fold
from aeterna.durable.core.fork import fork_history, step_names, step_positions
from tests.core.samples import ERROR, JSON

CREATED = ev.RunCreated(1, "order", "1", JSON, "mother", "3.11")
STARTED = ev.RunStarted(2, 7)
STEP = ev.StepCompleted(3, "0", "a", 1, b"f", JSON)
NOW_US = 1_000
CHILD = ("0", "c", 1)


def forked(*events: ev.AnyEvent, length: int = 99) -> list[ev.AnyEvent]:
    return fork_history([CREATED, STARTED, *events], length, "first", NOW_US)


def test_it_is_a_run_of_its_own_that_remembers_where_it_comes_from() -> None:
    created = ev.RunCreated(NOW_US, "order", "1", JSON, None, "3.11", "first")
    assert forked(STEP) == [created, STARTED, STEP]
    assert fork_history(forked(STEP), 99, "second", NOW_US)[0] == created, "what is drawn follows from the first of all"


@pytest.mark.parametrize(("length", "kept"), [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3)])
def test_it_ends_where_it_was_cut_and_has_a_beginning(length: int, kept: int) -> None:
    assert len(forked(STEP, length=length)) == kept


@pytest.mark.parametrize(
    "end",
    [ev.CancelRequested(4), ev.RunCompleted(4, JSON), ev.RunFailed(4, ERROR), ev.RunCancelled(4)],
    ids=lambda end: type(end).__name__,
)
def test_nothing_is_shared_from_a_cancellation_or_the_end_on(end: ev.AnyEvent) -> None:
    assert forked(STEP, end, STEP)[2:] == [STEP]


def test_later_owners_and_pauses_were_the_other_runs() -> None:
    assert forked(ev.RunStarted(3, 8), ev.RunPaused(3), STEP, ev.RunResumed(4))[1:] == [STARTED, STEP]


def test_a_child_that_had_not_ended_is_started_anew() -> None:
    started = ev.ChildStarted(3, *CHILD, b"f", "first/0:c:1")
    assert forked(started, STEP)[2:] == [STEP]
    given_up = ev.WaitAbandoned(4, *CHILD, "child")
    assert forked(started, given_up, STEP)[2:] == [STEP]
    ended = ev.ChildCompleted(4, *CHILD, JSON)
    assert forked(started, ended, STEP)[2:] == [started, ended, STEP]
    assert forked(started, ended, length=3)[2:] == [], "it had not, where the history was cut"


def test_a_timer_that_was_given_up_stays_so() -> None:
    timer, given_up = ev.TimerStarted(3, "0", "sleep", 1, 9), ev.WaitAbandoned(4, "0", "sleep", 1, "timer")
    assert forked(timer, given_up)[2:] == [timer, given_up]


def test_signals_are_kept_without_their_numbers() -> None:
    """The inbox of the fork counts from 1: a number of the other run's would hide its first messages."""
    fork = forked(ev.SignalReceived(3, 5, "id", "go", JSON))
    assert fork[2:] == [ev.SignalReceived(3, 0, "id", "go", JSON)]
    assert fold(fork).last_message == 0


def test_a_step_is_where_the_history_tells_of_it_first() -> None:
    """Counted as the history tells, across tasks; one that was tried again begins with its first attempt."""
    retrying = ev.StepRetrying(3, "0.1", "b", 1, b"f", ERROR, 1, 9)
    events: list[ev.AnyEvent] = [
        CREATED,
        STARTED,
        ev.TimerStarted(2, "0", "a", 1, 9),
        ev.StepCompleted(3, "0.2", "b", 1, b"f", JSON),
        retrying,
        STEP,
        ev.StepCompleted(9, "0.1", "b", 1, b"f", JSON, 2),
    ]
    assert step_positions(events, "b") == [3, 4]
    assert step_positions(events, "a") == [5]
    assert step_positions(events, "c") == []
    assert step_names(events) == ["b", "a"]


def test_a_fork_from_the_first_step_has_not_begun() -> None:
    assert step_positions([CREATED, STARTED, STARTED, STEP, STEP], "a") == [1]
