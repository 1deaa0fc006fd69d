"""The checker is silent about a sound cluster and names each violation: one test for each way to break a promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import NEVER_US, QueueRow, QueueState, RunRow
from tests.cluster.checker import longest_standstill_us, violations
from tests.cluster.observed import Execution, Interval, Observed, SentSignal, Stop, Version

S = 1_000_000
FIRST, SECOND = 1, 2
"""Two sessions, of the processes 101 and 102."""


def step(occurrence: int, pid: int, token: str) -> ev.StepCompleted:
    result = codec.encode([pid, token], "a result", 100)
    return ev.StepCompleted(0, "", "work", occurrence, b"", result)


def started(session: int) -> ev.RunStarted:
    return ev.RunStarted(0, session)


def signal(number: int, signal_id: str) -> ev.SignalReceived:
    return ev.SignalReceived(0, number, signal_id, "go", codec.encode(None, "nothing", 100))


CREATED = ev.RunCreated(0, "ten", "1", codec.encode([[], {}], "arguments", 100))
COMPLETED = ev.RunCompleted(0, codec.encode(2, "the result", 100))

SOUND: list[AnyEvent] = [
    CREATED, started(FIRST), step(1, 101, "a"), started(SECOND), signal(1, "s1"), step(2, 102, "b"), COMPLETED
]  # fmt: skip


def row(history: Sequence[AnyEvent], **changes: Any) -> RunRow:
    fields: dict[str, Any] = {
        "key": 1, "id": "r", "workflow": "ten", "version": "1", "state": State.COMPLETED, "detail": Detail.NONE,
        "created_us": 0, "updated_us": 0, "length": len(history), "epoch": 2,
    }  # fmt: skip
    return RunRow(**{**fields, **changes})


def version(order: int, at_s: float, epoch: int, owner: int | None, length: int, **changes: Any) -> Version:
    fields: dict[str, Any] = {"state": State.RUNNING, "detail": Detail.LEASED, "queue": "narrow"}
    return Version(order, int(at_s * S), "r", epoch=epoch, owner=owner, length=length, **{**fields, **changes})


VERSIONS = [
    version(1, 0, 0, None, 1, state=State.PENDING, detail=Detail.QUEUED),
    version(2, 1, 1, FIRST, 1, state=State.PENDING, detail=Detail.QUEUED),
    version(3, 1, 1, FIRST, 2),
    version(4, 2, 1, FIRST, 3),
    # The first process dies here, and the second one takes the run within lease + 1 s.
    version(5, 4.5, 2, SECOND, 3),
    version(6, 5, 2, SECOND, 5),
    version(7, 5.5, 2, SECOND, 6),
    version(8, 6, 2, None, 7, state=State.COMPLETED, detail=Detail.NONE),
]
EXECUTIONS = [
    Execution(int(1.5 * S), 101, "r", 1, "a"),
    Execution(int(3 * S), 101, "r", 2, "lost"),
    Execution(int(5.2 * S), 102, "r", 2, "b"),
]


def observed(**changes: Any) -> Observed:
    history = changes.pop("history", SOUND)
    fields: dict[str, Any] = {
        "rows": {"r": row(history)}, "histories": {"r": history}, "expected": {"r": 2}, "versions": VERSIONS,
        "executions": EXECUTIONS, "processes": {FIRST: 101, SECOND: 102}, "signals": [SentSignal("r", "s1")],
        "limits": {"narrow": 1}, "queues": [QueueState(QueueRow("narrow"), 0, 0, None)],
        "lease_us": 2 * S, "ended_us": 7 * S,
    }  # fmt: skip
    return Observed(**{**fields, **changes})


def test_a_sound_cluster_gives_no_reason_to_complain() -> None:
    """A takeover after a death, a step that ran twice and was recorded once: nothing of that is wrong."""
    assert violations(observed()) == []
    assert longest_standstill_us(observed()) == int(2.5 * S)


def with_version(index: int, **changes: Any) -> list[Version]:
    """The sound versions but for one."""
    return [*VERSIONS[:index], replace(VERSIONS[index], **changes), *VERSIONS[index + 1 :]]


def with_event(index: int, event: AnyEvent) -> list[AnyEvent]:
    """The sound history but for one event."""
    return [*SOUND[:index], event, *SOUND[index + 1 :]]


UNFINISHED = SOUND[:-1]
BROKEN: list[tuple[str, Observed, str]] = [
    ("a run that is gone", observed(rows={}, histories={}, versions=[], signals=[]), "started and is gone"),
    (
        "a run that did not finish",
        observed(
            history=UNFINISHED,
            rows={"r": row(UNFINISHED, state=State.RUNNING, detail=Detail.STUCK, note="why")},
            versions=VERSIONS[:-1],
            ended_us=6 * S,
        ),
        r"run r is RUNNING \(stuck\) why",
    ),
    ("a wrong result", observed(expected={"r": 3}), "instead of 3"),
    ("a row that lies", observed(rows={"r": row(SOUND, length=6)}), "its row says COMPLETED after 6 events"),
    ("a step recorded twice", observed(history=with_event(5, step(1, 101, "a"))), "is recorded 2 times"),
    ("a result that nobody made", observed(executions=EXECUTIONS[1:]), "process 101 never executed 'a'"),
    (
        "a step that began after its record",
        observed(executions=[*EXECUTIONS, Execution(6 * S, 101, "r", 1, "again")]),
        "process 101 began it 1500000 us after its record",
    ),
    (
        "a stale write",
        observed(
            history=with_event(5, step(2, 101, "lost")),
        ),
        "step 2: process 101 wrote while session 2 had it",
    ),
    ("a start by a stranger", observed(history=with_event(3, started(FIRST))), "session 1 started"),
    ("an epoch that fell", observed(versions=with_version(5, epoch=1)), "went back"),
    ("an owner that changed alone", observed(versions=with_version(4, epoch=1)), "within one epoch"),
    (
        "a write after the end",
        observed(versions=with_version(6, state=State.COMPLETED, detail=Detail.NONE)),
        "written after its end",
    ),
    (
        "an accepted signal that is lost",
        observed(signals=[SentSignal("r", "s1"), SentSignal("r", "s2")]),
        "never received the signal 's2'",
    ),
    ("a signal that came twice", observed(history=with_event(3, signal(1, "s1"))), r"'s1' 2 times"),
    ("a signal that nobody sent", observed(signals=[]), "that nobody sent"),
    (
        "a queue that lets too many in",
        observed(versions=[*VERSIONS, replace(VERSIONS[3], run_id="other", order=9, at_us=3 * S)]),
        "2 runs at once, the limit is 1",
    ),
    ("a slot that leaked", observed(queues=[QueueState(QueueRow("narrow"), 0, 1, None)]), "still holds 1 slots"),
    (
        "a run that nobody took over in time",
        observed(versions=with_version(4, at_us=int(5 * S + 1))),
        "stood still for 3.00 s from event 3 on",
    ),
    (
        "a sleeping run that woke too late",
        observed(versions=with_version(3, detail=Detail.SLEEPING, wake_us=int(1.4 * S), at_us=int(1.2 * S))),
        "stood still for 3.10 s",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("what", "seen", "words"), BROKEN, ids=[what for what, _, _ in BROKEN])
def test_each_violation_is_named(what: str, seen: Observed, words: str) -> None:
    found = violations(seen)
    with pytest.raises(AssertionError, match=words):
        assert not found, "\n".join(found)


def test_a_write_that_gives_the_run_up_counts_as_its_owners() -> None:
    """And so does one after that, as long as nobody else has claimed the run."""
    assert violations(observed(versions=with_version(3, owner=None))) == []
    assert (
        violations(
            observed(versions=[*VERSIONS[:2], *(replace(each, owner=None) for each in VERSIONS[2:4]), *VERSIONS[4:]])
        )
        == []
    )


def test_a_run_that_was_created_for_a_session_just_ended_is_that_sessions_until_it_is_claimed() -> None:
    orphan = [replace(each, owner=None, epoch=1) for each in VERSIONS[:4]]
    assert violations(observed(versions=[*orphan, *VERSIONS[4:]])) == []
    stranger = with_event(1, started(SECOND))
    assert violations(observed(versions=[*orphan, *VERSIONS[4:]], history=stranger))


def test_signals_out_of_order_are_named() -> None:
    history = [CREATED, started(FIRST), signal(2, "s2"), signal(1, "s1")]
    found = violations(observed(history=history, versions=[], expected={}))
    assert any("out of order: [2, 1]" in each for each in found)


def test_a_signal_whose_answer_was_lost_may_have_arrived_or_not() -> None:
    unsure = [SentSignal("r", "s1", is_accepted=False), SentSignal("r", "s2", is_accepted=False)]
    assert violations(observed(signals=unsure)) == []


def test_one_step_that_begins_as_its_process_goes_on_is_excused() -> None:
    """And neither a second one, nor another process's, nor a later one, nor after a short stop, nor of a run that it
    did not own when it was stopped or whose step was recorded before that."""
    late = Execution(6 * S + 1, 101, "r", 2, "again")
    stop = Stop(101, int(1.6 * S), 6 * S - 50_000)
    both = [*EXECUTIONS, late]
    assert violations(observed(executions=both, stops=[stop])) == []
    assert violations(observed(executions=[*both, replace(late, token="third")], stops=[stop]))
    assert violations(observed(executions=both, stops=[replace(stop, pid=102)]))
    assert violations(observed(executions=both, stops=[replace(stop, to_us=5 * S)]))
    assert violations(observed(executions=both, stops=[replace(stop, from_us=6 * S - 60_000)]))
    assert violations(observed(executions=both, stops=[replace(stop, from_us=int(5.9 * S))]))
    assert violations(observed(executions=[*EXECUTIONS, replace(late, occurrence=1)], stops=[stop]))
    other = Execution(6 * S - 40_000, 101, "other", 1, "before")
    assert violations(observed(executions=[*EXECUTIONS, other, late], stops=[stop]))


def test_outages_and_waits_are_no_standstill() -> None:
    """What is down cannot go on, outages that overlap count once, and a run that waits for nothing but a signal is
    never due."""
    late = with_version(4, at_us=int(9 * S))
    late = [*late[:5], *(replace(each, at_us=each.at_us + 5 * S) for each in late[5:])]
    seen = observed(versions=late, executions=EXECUTIONS[:1], ended_us=12 * S)
    assert longest_standstill_us(seen) == 7 * S
    down = [Interval(3 * S, 6 * S), Interval(5 * S, 7 * S), Interval(4 * S, 5 * S)]
    assert longest_standstill_us(replace(seen, outages=down)) == 3 * S
    waiting = [replace(each, detail=Detail.WAITING_SIGNAL, wake_us=NEVER_US) for each in late[:4]]
    assert longest_standstill_us(replace(seen, versions=[*waiting, *late[4:]])) <= 1 * S
    called = [*waiting[:3], replace(waiting[3], unread=1), *late[4:]]
    assert longest_standstill_us(replace(seen, versions=called)) == 7 * S
