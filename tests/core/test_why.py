"""Every way of waiting is named, with what would end it."""

from __future__ import annotations

import msgspec
import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import Payload
from aeterna.durable.core.gcra import Rate
from aeterna.durable.core.states import Detail, State
from aeterna.durable.core.why import NEVER_US, awaited_child, why
from aeterna.durable.core.why_facts import Facts, Kind, Place, Why, Worker
from aeterna.durable.stores import contract
from aeterna.durable.stores.contract import RunRow

NOW = 1_000_000_000
CREATED = ev.RunCreated(1, "orders", "2", Payload(b"j[]"))
STARTED = ev.RunStarted(NOW - 60_000_000, 7)
PLAIN = RunRow(1, "A", "orders", "2", State.PENDING, Detail.QUEUED, 1, 1, 1, 0)
RUNNING = msgspec.structs.replace(PLAIN, state=State.RUNNING, detail=Detail.LEASED)
ALL = Worker(7, "worker one")


def facts(row: RunRow = PLAIN, *events: ev.AnyEvent, workers: tuple[Worker, ...] = (ALL,), **others: object) -> Facts:
    return Facts(row=row, history=(CREATED, *events), workers=workers, now_us=NOW, **others)


def row(base: RunRow = PLAIN, **fields: object) -> RunRow:
    return msgspec.structs.replace(base, **fields)


def kinds(found: Why) -> list[Kind]:
    return [found.kind, *(other.kind for other in found.also)]


def test_the_wake_time_that_never_comes_is_the_stores():
    assert NEVER_US == contract.NEVER_US


def test_an_ended_run_waits_for_nothing():
    found = why(facts(row(state=State.FAILED, detail=Detail.NONE, finished_us=NOW - 5_000_000)))
    assert (found.kind, found.run_id) == (Kind.ENDED, "A")
    assert "FAILED" in found.text
    assert "5 s ago" in found.text


def test_a_run_without_obstacles_waits_for_room():
    assert kinds(why(facts())) == [Kind.CLAIMABLE]


def test_a_run_that_was_just_taken_begins():
    found = why(facts(row(owner=7)))
    assert kinds(found) == [Kind.EXECUTING]
    assert found.text == "worker one has just taken it and begins"


def test_an_executing_run_names_its_worker_and_since_when():
    found = why(facts(row(RUNNING, owner=7), STARTED))
    assert found.text == "worker one has had it since 1970-01-01T00:15:40Z (1 min ago)"
    assert why(facts(row(RUNNING, owner=9), STARTED)).text.startswith("session 9 has had it")


def test_a_delayed_run_names_its_time():
    found = why(facts(row(wake_us=NOW + 5_000_000)))
    assert (found.kind, found.until_us) == (Kind.DELAYED, NOW + 5_000_000)
    assert why(facts(row(wake_us=NOW - 1))).kind is Kind.CLAIMABLE


def place(**fields: object) -> Place:
    return Place(queue="gpu", **fields)


@pytest.mark.parametrize(
    ("where", "kind", "text"),
    [
        (place(is_paused=True), Kind.QUEUE_PAUSED, "queue 'gpu' is paused"),
        (
            place(concurrency=4, running=4, ahead=2),
            Kind.CONCURRENCY,
            "queue 'gpu' has 4 runs going, and its limit is 4; 2 runs of it come before this one",
        ),
        (
            place(concurrency_per_share=2, running_of_share=2),
            Kind.CONCURRENCY,
            "share 'acme' of queue 'gpu' has 2 runs going, and the limit of each share is 2",
        ),
        (
            place(rate=Rate(10, 60_000_000), tat_us=NOW + 3_000_000),
            Kind.RATE,
            "queue 'gpu' starts 10 runs per 1 min, and the next one at 1970-01-01T00:16:43Z (in 3 s)",
        ),
        (place(ahead=1), Kind.BEHIND, "it is queued behind 1 run of queue 'gpu'"),
        (place(concurrency=4, running=3, concurrency_per_share=2, rate=Rate(1, 1)), Kind.CLAIMABLE, "it may start"),
    ],
)
def test_a_queued_run_names_the_limit_that_keeps_it(where: Place, kind: Kind, text: str):
    found = why(facts(row(queue="gpu", share="acme"), place=where))
    assert kinds(found) == [kind]
    assert found.text == text
    assert found.unblocks


def test_all_obstacles_are_named():
    where = place(is_paused=True, concurrency=1, running=1)
    found = why(facts(row(queue="gpu"), workers=(), place=where))
    assert kinds(found) == [Kind.QUEUE_PAUSED, Kind.CONCURRENCY, Kind.NO_WORKER]


@pytest.mark.parametrize(
    ("worker", "lack"),
    [
        (Worker(7, "w", frozenset({("other", "1")})), "w does not have workflow 'orders'"),
        (
            Worker(7, "w", frozenset({("orders", "1"), ("orders", "3")})),
            "w has version '1', '3' of workflow 'orders', not '2'",
        ),
        (Worker(7, "w", queues=frozenset({"cpu"}), capabilities=frozenset({"cuda"})), "w does not serve queue 'gpu'"),
        (Worker(7, "w", frozenset({("orders", "2")}), frozenset({"gpu"})), "w does not have 'cuda'"),
    ],
)
def test_a_worker_that_cannot_execute_it_says_what_it_lacks(worker: Worker, lack: str):
    found = why(facts(row(queue="gpu", requires=("cuda",)), workers=(worker,)))
    assert kinds(found) == [Kind.NO_WORKER]
    assert found.text == f"no worker can execute it: {lack}"
    assert found.unblocks == "start a worker with workflow 'orders' of version '2', queue 'gpu', 'cuda'"


def test_a_run_that_has_begun_needs_no_worker_of_its_queue():
    worker = Worker(7, "w", queues=frozenset({"cpu"}))
    assert worker.lacks(row(RUNNING, queue="gpu")) is None
    lacking = Worker(7, "w", frozenset(), frozenset())
    found = why(facts(row(RUNNING, queue="gpu"), STARTED, workers=(lacking,) * 5))
    assert found.text.endswith("w does not have workflow 'orders'; and 2 more")
    assert found.unblocks == "start a worker with workflow 'orders' of version '2'"


def test_no_worker_at_all_is_said():
    assert why(facts(workers=())).text == "no worker is connected"


def test_a_stuck_run_gives_the_reason():
    found = why(facts(row(RUNNING, detail=Detail.STUCK, note="the code differs"), STARTED))
    assert (found.kind, found.text) == (Kind.STUCK, "it is stuck: the code differs")
    assert "aeterna workflow resume A" in found.unblocks
    assert "log" in why(facts(row(RUNNING, detail=Detail.STUCK), STARTED)).text


def test_a_run_that_kills_its_workers_is_poison():
    found = why(facts(row(RUNNING, detail=Detail.STUCK, crashes=10, note="limit reached"), STARTED))
    assert (found.kind, found.text) == (
        Kind.POISON,
        "10 workers in a row died while they executed it: limit reached",
    )
    assert "no reason is known" in why(facts(row(detail=Detail.STUCK, crashes=1))).text


def test_a_retried_step_names_attempt_time_and_error():
    error = ev.ErrorRecord("app:TooBusyError", "try later")
    failed = ev.StepRetrying(NOW - 1, "0", "charge", 1, b"f", error, 2, NOW + 4_000_000)
    other = ev.StepRetrying(NOW - 1, "0", "other", 1, b"f", error, 1, NOW + 9_000_000)
    found = why(facts(row(RUNNING, detail=Detail.RETRYING, wake_us=NOW + 4_000_000), STARTED, failed, other))
    assert kinds(found) == [Kind.RETRYING, Kind.RETRYING]
    assert found.text == (
        "step 'charge' is tried again, attempt 3, at 1970-01-01T00:16:44Z (in 4 s), after TooBusyError: try later"
    )
    assert found.until_us == NOW + 4_000_000


def test_a_sleeping_run_names_its_time_and_who_is_missing():
    timers = [ev.TimerStarted(1, "0", "sleep", n, NOW + n * 1_000_000) for n in (2, 1)]
    sleeping = row(RUNNING, detail=Detail.SLEEPING, wake_us=NOW + 1_000_000)
    found = why(facts(sleeping, STARTED, *timers))
    assert kinds(found) == [Kind.SLEEPING]
    assert found.until_us == NOW + 1_000_000
    assert kinds(why(facts(sleeping, STARTED, *timers, workers=()))) == [Kind.SLEEPING, Kind.NO_WORKER]
    resident = row(sleeping, owner=7)
    assert kinds(why(facts(resident, STARTED, *timers))) == [Kind.SLEEPING, Kind.EXECUTING]
    busy = row(sleeping, owner=7, detail=Detail.LEASED)
    assert kinds(why(facts(busy, STARTED, *timers))) == [Kind.EXECUTING, Kind.SLEEPING]


def test_a_run_that_waits_for_a_child_says_why_the_child_waits():
    begun = ev.ChildStarted(1, "0", "child", 1, b"f", "A/0:child:1")
    waiting = row(RUNNING, detail=Detail.WAITING_CHILD, wake_us=NEVER_US)
    assert awaited_child((CREATED, STARTED, begun)) == "A/0:child:1"
    assert awaited_child((CREATED,)) is None
    because = Why(Kind.RATE, "later", run_id="A/0:child:1")
    found = why(facts(waiting, STARTED, begun, child=because))
    assert (kinds(found), found.because) == ([Kind.CHILD], because)
    assert why(facts(waiting, STARTED, begun)).because is None
    assert why(facts(waiting, STARTED, begun, child=Why(Kind.RATE, "x", run_id="B"))).because is None


def test_a_run_that_nobody_has_is_taken_next():
    assert kinds(why(facts(RUNNING, STARTED))) == [Kind.CLAIMABLE]
    late = row(RUNNING, detail=Detail.SLEEPING, wake_us=NOW + 1)
    found = why(facts(late, STARTED, unread=2))
    assert (found.kind, found.text) == (
        Kind.CLAIMABLE,
        "nobody has it at the moment, and 2 messages in its inbox wait",
    )


def test_a_cancelled_run_cleans_up():
    asked = ev.CancelRequested(1, "too slow")
    found = why(facts(row(RUNNING, detail=Detail.CANCELLING, owner=7), STARTED, asked))
    assert kinds(found) == [Kind.CANCELLING, Kind.EXECUTING]
    assert found.text.endswith(": too slow")
    assert why(facts(row(RUNNING, owner=None), STARTED, ev.CancelRequested(1))).kind is Kind.CANCELLING


def test_a_run_whose_history_names_no_wait_goes_by_its_row():
    assert kinds(why(facts(row(RUNNING, wake_us=NOW + 5), STARTED))) == [Kind.SLEEPING]
    assert kinds(why(facts(row(RUNNING, wake_us=NEVER_US), STARTED))) == [Kind.SIGNAL]


def test_a_run_that_waits_for_a_signal_names_it():
    waiting = row(RUNNING, detail=Detail.WAITING_SIGNAL, wake_us=NEVER_US, note="signal 'approved'")
    found = why(facts(waiting, STARTED))
    assert (kinds(found), found.text) == ([Kind.SIGNAL], "it waits for signal 'approved'")
    assert "aeterna workflow signal A NAME" in found.unblocks
    assert why(facts(row(waiting, note=""), STARTED)).text == "it waits for a signal"


def test_a_paused_run_gives_who_said_so_and_when():
    paused = ev.RunPaused(NOW - 60_000_000, "by ana: budget", 1)
    found = why(facts(row(RUNNING, detail=Detail.PAUSED, wake_us=NEVER_US), STARTED, paused))
    assert kinds(found) == [Kind.PAUSED]
    assert found.text == "it is paused since 1970-01-01T00:15:40Z (1 min ago): by ana: budget"
    assert found.unblocks == "`aeterna workflow resume A`"
    silent = ev.RunPaused(NOW, "", 2)
    assert why(facts(row(RUNNING), STARTED, silent)).text.endswith("(in 0 s)")
