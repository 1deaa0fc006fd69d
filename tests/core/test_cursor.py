"""The cursor: what the code asks for against what the history says."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from aeterna.durable.core import events as ev
from aeterna.durable.core.cursor import Cursor, Mismatch, ReplayEvent, describe, fingerprint_of, key_of
from aeterna.durable.core.identity import Key, Kind
from tests.core.samples import ERROR, JSON

MARK = b"12345678"


def completed(name: str, occurrence: int = 1, mark: bytes = MARK, path: str = "0") -> ev.StepCompleted:
    return ev.StepCompleted(1, path, name, occurrence, mark, JSON)


ALL: list[tuple[ReplayEvent, Kind, str, bool]] = [
    (completed("a"), Kind.STEP, "step 'a' #1 of task 0 completed", True),
    (ev.StepFailed(1, "0", "a", 1, MARK, ERROR), Kind.STEP, "step 'a' #1 of task 0 failed", True),
    (ev.StepRetrying(1, "0", "a", 1, MARK, ERROR, 1, 5), Kind.STEP, "step 'a' #1 of task 0 to be retried", True),
    (ev.StepHeartbeat(1, "0", "a", 1, MARK, 1, JSON), Kind.STEP, "step 'a' #1 of task 0 under way", True),
    (ev.TimerStarted(1, "0", "a", 1, 5), Kind.TIMER, "timer 'a' #1 of task 0 started", False),
    (ev.TimerFired(1, "0", "a", 1), Kind.TIMER, "timer 'a' #1 of task 0 fired", False),
    (ev.ChildStarted(1, "0", "a", 1, MARK, "c"), Kind.CHILD, "child 'a' #1 of task 0 started", True),
    (ev.ChildCompleted(1, "0", "a", 1, JSON), Kind.CHILD, "child 'a' #1 of task 0 completed", False),
    (ev.ChildFailed(1, "0", "a", 1, ERROR), Kind.CHILD, "child 'a' #1 of task 0 failed", False),
]


@pytest.mark.parametrize(("event", "kind", "text", "has_mark"), ALL, ids=[type(case[0]).__name__ for case in ALL])
def test_every_event_of_a_wait_finds_its_wait(event: ReplayEvent, kind: Kind, text: str, has_mark: bool) -> None:
    cursor = Cursor()
    key = cursor.issue(kind, "0", "a", MARK)
    assert key_of(event) == key
    assert fingerprint_of(event) == (MARK if has_mark else None)
    assert describe(event) == text
    assert cursor.check(event) == key
    assert cursor.complete(event) == key
    assert cursor.pending == {}


def test_occurrences_count_by_kind_task_and_name() -> None:
    cursor = Cursor()
    places = [
        (Kind.STEP, "0", "a"),
        (Kind.STEP, "0", "a"),
        (Kind.STEP, "0.1", "a"),
        (Kind.TIMER, "0", "a"),
        (Kind.STEP, "0", "b"),
    ]
    assert [cursor.issue(*place).occurrence for place in places] == [1, 2, 1, 1, 1]


def test_results_of_racing_branches_cannot_be_swapped() -> None:
    """Two tasks wait for a step of the same name: each completion goes to the task that is recorded, in any order."""
    cursor = Cursor()
    first, second = cursor.issue(Kind.STEP, "0.1", "a", MARK), cursor.issue(Kind.STEP, "0.2", "a", MARK)
    assert cursor.complete(completed("a", path="0.2")) == second
    assert cursor.complete(completed("a", path="0.1")) == first


def test_a_completion_that_nobody_waits_for_is_a_mismatch() -> None:
    cursor = Cursor()
    cursor.issue(Kind.STEP, "0", "b")
    with pytest.raises(Mismatch) as caught:
        cursor.complete(completed("a"))
    assert (caught.value.recorded, caught.value.attempted) == (
        "step 'a' #1 of task 0 completed",
        "step 'b' #1 of task 0",
    )
    assert str(caught.value) == "recorded step 'a' #1 of task 0 completed, attempted step 'b' #1 of task 0"


def test_another_input_is_a_mismatch_that_shows_both_fingerprints() -> None:
    cursor = Cursor()
    cursor.issue(Kind.STEP, "0", "a", b"\x01")
    with pytest.raises(
        Mismatch, match="input fingerprint 02, attempted step 'a' #1 of task 0 with input fingerprint 01"
    ):
        cursor.complete(completed("a", mark=b"\x02"))
    assert cursor.pending, "the wait is still there"


def test_a_late_completion_of_a_wait_that_was_given_up_is_passed_over_once() -> None:
    cursor = Cursor()
    key = cursor.issue(Kind.STEP, "0", "a", MARK)
    assert cursor.abandon(key)
    assert not cursor.abandon(key), "it is over"
    retrying = ev.StepRetrying(1, "0", "a", 1, MARK, ERROR, 1, 5)
    assert cursor.check(retrying) is None
    assert cursor.complete(completed("a")) is None
    with pytest.raises(Mismatch):
        cursor.complete(completed("a"))


def test_a_wait_for_a_signal_ends_by_its_key_alone_and_is_forgotten_when_given_up() -> None:
    """No event names it, so a late one cannot come."""
    cursor = Cursor()
    first, second = cursor.issue(Kind.SIGNAL, "0", "go"), cursor.issue(Kind.SIGNAL, "0", "go")
    cursor.receive(first)
    assert cursor.abandon(second)
    assert not cursor.abandon(second)
    assert cursor.pending == {}


def test_the_message_names_the_waits_of_the_same_task_first_and_counts_the_rest() -> None:
    cursor = Cursor()
    assert cursor.describe_pending("0") == "nothing: the code waits for no step, timer, child or signal here"
    for path, name in (("0", "x"), ("0.1", "y"), ("0.2", "a"), ("0.3", "b"), ("0.4", "c")):
        cursor.issue(Kind.STEP, path, name)
    shown = cursor.describe_pending("0.2")
    assert shown == "step 'a' #1 of task 0.2, step 'x' #1 of task 0, step 'y' #1 of task 0.1 and 2 more"


class CursorModel(RuleBasedStateMachine):
    """The cursor against a model that keeps every wait's fate in one dict."""

    waits = Bundle("waits")

    def __init__(self) -> None:
        super().__init__()
        self.cursor = Cursor()
        self.fate: dict[Key, str] = {}

    @rule(target=waits, name=st.sampled_from("ab"), path=st.sampled_from(["0", "0.1"]))
    def issue(self, name: str, path: str) -> Key:
        key = self.cursor.issue(Kind.STEP, path, name, MARK)
        assert key not in self.fate
        self.fate[key] = "pending"
        return key

    @rule(key=waits)
    def abandon(self, key: Key) -> None:
        assert self.cursor.abandon(key) == (self.fate[key] == "pending")
        if self.fate[key] == "pending":
            self.fate[key] = "abandoned"

    @rule(key=waits)
    def check(self, key: Key) -> None:
        event = completed(key.name, key.occurrence, path=key.path)
        if self.fate[key] == "over":
            with pytest.raises(Mismatch):
                self.cursor.check(event)
        else:
            assert (self.cursor.check(event) == key) == (self.fate[key] == "pending")

    @rule(key=consumes(waits))
    def complete(self, key: Key) -> None:
        event = completed(key.name, key.occurrence, path=key.path)
        if self.fate[key] != "over":
            assert (self.cursor.complete(event) == key) == (self.fate[key] == "pending")
            self.fate[key] = "over"

    @invariant()
    def pending_is_what_the_model_says(self) -> None:
        assert set(self.cursor.pending) == {key for key, fate in self.fate.items() if fate == "pending"}


TestCursorModel = CursorModel.TestCase
