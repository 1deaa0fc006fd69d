"""What every store promises about messages: written first, once, in order, gone with the event that records them."""

from __future__ import annotations

import msgspec
import pytest

from aeterna.durable.core.events import Payload
from aeterna.durable.core.segment import encode_segment
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    NEVER_US,
    Appended,
    Exists,
    FencedOff,
    Head,
    MessageKind,
    Post,
    Posted,
    Refused,
    Sealed,
    Store,
)
from aeterna.kernel.errors import InvariantError
from tests.stores.samples import add_finished, add_run, append, create, created, ids, steps

WAITING = Head(State.RUNNING, Detail.WAITING_SIGNAL, NEVER_US, release=True)


def post(run_id: str, name: str = "go", message_id: str = "", kind: MessageKind = MessageKind.SIGNAL) -> Post:
    return Post(run_id, message_id, kind, name, Payload(b'j"x"'), 50)


async def test_messages_are_numbered_in_order_and_stay_until_they_are_consumed(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    assert await store.commit([post("A", "one"), post("A", "two")]) == [Posted(1, session), Posted(2, session)]
    assert [(each.number, each.name, each.kind, each.payload) for each in await store.inbox("A")] == [
        (1, "one", MessageKind.SIGNAL, b'j"x"'),
        (2, "two", MessageKind.SIGNAL, b'j"x"'),
    ]
    assert await store.unread(session) == ["A"]
    assert await store.commit([msgspec.structs.replace(append(key, 1), consumed=(1, 2))]) == [Appended()]
    assert await store.inbox("A") == []
    assert await store.unread(session) == []
    assert await store.commit([post("A")]) == [Posted(3, session)]
    await store.close()


async def test_a_repeated_id_is_a_duplicate_even_when_the_first_was_consumed(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([post("A", message_id="m"), post("A"), post("A")])
    await store.commit([msgspec.structs.replace(append(key, 1), consumed=(1,))])
    assert await store.commit([post("A", message_id="m")]) == [Posted(1, session, is_duplicate=True)]
    assert [each.number for each in await store.inbox("A")] == [2, 3]
    await store.close()


async def test_to_consume_what_is_gone_does_no_harm(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([post("A")])
    for first in (1, 2):
        assert await store.commit([msgspec.structs.replace(append(key, first), consumed=(1,))]) == [Appended()]
    assert len(await store.history("A")) == 3
    await store.close()


async def test_a_signal_that_is_sent_again_has_arrived_also_when_the_run_has_ended(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([post("A", message_id="m"), post("A", message_id="c", kind=MessageKind.CANCEL)])
    await store.commit([append(key, 1, head=Head(State.COMPLETED, Detail.NONE))])
    again, cancel, other = await store.commit(
        [post("A", message_id="m"), post("A", message_id="c", kind=MessageKind.CANCEL), post("A", message_id="n")]
    )
    assert again == Posted(1, None, is_duplicate=True)
    assert isinstance(cancel, Refused)
    assert isinstance(other, Refused)
    await store.close()


async def test_a_stale_session_consumes_nothing(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([post("A")])
    assert await store.commit([msgspec.structs.replace(append(key, 1, epoch=9), consumed=(1,))]) == [FencedOff()]
    assert len(await store.inbox("A")) == 1
    await store.close()


async def test_nothing_is_posted_to_a_run_that_has_ended_or_does_not_exist(store: Store) -> None:
    await store.open()
    await add_finished(store, "done")
    outcomes = await store.commit([post("done"), post("nobody")])
    assert outcomes == [Refused(await store.get_run("done")), Refused(None)]
    await store.close()


async def test_a_message_wakes_a_run_that_nobody_owns(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([append(key, 1, head=WAITING)])
    assert await store.claim(session, 10**9, 9) == []
    assert await store.next_wake() is None
    await store.commit([post("A")])
    assert ids(await store.claim(session, 10, 9)) == ["A"]
    await store.close()


async def test_a_message_that_came_before_the_run_was_released_wakes_it_too(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([post("A")])
    await store.commit([append(key, 1, head=WAITING)])
    assert ids(await store.claim(session, 10, 9)) == ["A"]
    await store.close()


async def test_a_message_to_a_run_whose_session_dies_wakes_it_too(store: Store) -> None:
    """Whatever the order of message, death and the dead session's last write: nobody sleeps over a message."""
    await store.open()
    asleep = msgspec.structs.replace(WAITING, release=False)
    session = await store.open_session(1, "host", 42, lease_us=1_000)
    early, late, open_ended = [await add_run(store, run_id, session) for run_id in ("early", "late", "open-ended")]
    await store.commit([post("early"), append(early, 1, head=asleep), append(open_ended, 1, head=asleep)])
    await store.close_session(session, 20, died=True)
    await store.commit([post("late"), append(late, 1, head=asleep), post("open-ended")])
    other = await store.open_session(30, "host", 43, lease_us=1_000)
    assert ids(await store.claim(other, 30, 9)) == ["early", "late", "open-ended"]
    await store.close()


async def test_a_message_is_not_slept_over_when_a_session_is_followed_by_the_next(store_of_one: Store) -> None:
    store = store_of_one
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([append(key, 1, head=msgspec.structs.replace(WAITING, release=False)), post("A")])
    session = await store.open_session(2, "host", 43)
    assert ids(await store.claim(session, 10, 9)) == ["A"]
    await store.close()


@pytest.mark.parametrize(("kind", "wakes"), [(MessageKind.SIGNAL, False), (MessageKind.RESUME, True)])
async def test_a_signal_wakes_no_paused_run(store: Store, kind: MessageKind, *, wakes: bool) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([append(key, 1, head=Head(State.RUNNING, Detail.PAUSED, NEVER_US, release=True))])
    await store.commit([post("A", kind=kind)])
    assert bool(await store.claim(session, 10, 9)) is wakes
    await store.close()


async def test_a_signal_does_not_start_a_delayed_run_early(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.commit([create("A", wake_us=500), post("A")])
    assert await store.claim(session, 499, 9) == []
    assert ids(await store.claim(session, 500, 9)) == ["A"]
    await store.close()


async def test_messages_go_with_their_run(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([post("A", message_id="m")])
    await store.commit([append(key, 1, head=Head(State.COMPLETED, Detail.NONE))])
    assert await store.delete_runs(["A"]) == 1
    await add_run(store, "A", session)
    assert await store.inbox("A") == []
    assert await store.commit([post("A", message_id="m")]) == [Posted(1, session)]
    await store.close()


async def test_a_sealed_segment_is_kept_like_the_events_it_holds(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    sealed = Sealed(2, encode_segment(steps(1, 2)))
    assert await store.commit([msgspec.structs.replace(append(key, 1, epoch=0), events=sealed)]) == [Appended()]
    assert (await store.history("A"))[1:] == list(steps(1, 2))
    first = (await store.history("A"))[:1]
    await store.commit([create("B", events=Sealed(1, encode_segment(first)))])
    assert await store.history("B") == first
    await store.close()


async def test_a_write_whose_answer_was_lost_counts_once(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    write = append(key, 1, epoch=0, count=2)
    await store.commit([write])
    assert await store.commit([msgspec.structs.replace(write, is_repeat=True)]) == [Appended()]
    assert len(await store.history("A")) == 3
    with pytest.raises(InvariantError):
        await store.commit([write])
    await store.close()


async def test_one_unfinished_run_of_a_singleton(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.commit([create("A", singleton="s"), create("B", singleton="t")])
    (outcome,) = await store.commit([create("C", singleton="s")])
    assert isinstance(outcome, Exists)
    assert outcome.row.id == "A"
    row = await store.claim_run(session, "A")
    assert row is not None
    await store.commit([append(row.key, 1, row.epoch, head=Head(State.COMPLETED, Detail.NONE))])
    (outcome,) = await store.commit([create("C", singleton="s")])
    assert not isinstance(outcome, Exists)
    await store.close()


async def test_the_last_debounced_call_counts_as_long_as_nobody_has_taken_the_run(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.commit([create("A", singleton="s", debounce=True, wake_us=100)])
    event = msgspec.structs.replace(created(), arguments=b"j[[2],{}]")
    later = create("B", events=(event,), singleton="s", debounce=True, wake_us=200)
    (outcome,) = await store.commit([later])
    assert isinstance(outcome, Exists)
    assert (outcome.row.id, outcome.row.wake_us) == ("A", 200)
    assert await store.history("A") == [event]
    assert await store.claim(session, 150, 9) == []
    assert ids(await store.claim(session, 200, 9)) == ["A"]
    (outcome,) = await store.commit([msgspec.structs.replace(later, wake_us=900)])
    assert isinstance(outcome, Exists)
    assert outcome.row.wake_us == 200
    await store.close()


async def test_a_debounced_call_does_not_put_off_a_message(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    delayed = create("A", singleton="s", debounce=True, wake_us=100)
    await store.commit([delayed, post("A", kind=MessageKind.CANCEL)])
    await store.commit([msgspec.structs.replace(delayed, id="B", wake_us=900)])
    assert ids(await store.claim(session, 50, 9)) == ["A"]
    await store.close()
