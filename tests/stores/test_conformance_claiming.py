"""What every store promises about sessions and claims: one owner per run and epoch."""

from __future__ import annotations

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Append, Appended, FencedOff, Head, Store
from tests.stores.samples import add_finished, add_run, append, finish, ids


async def test_session_numbers_are_never_used_again(store: Store) -> None:
    await store.open()
    first = await store.open_session(1, "host", 42)
    await store.close_session(first, 2)
    second = await store.open_session(3, "host", 42)
    await store.close()
    await store.open()
    third = await store.open_session(4, "host", 42)
    assert first < second < third
    await store.close()


async def test_claims_take_the_oldest_first_up_to_the_limit_and_raise_the_epoch(store: Store) -> None:
    await store.open()
    for run_id in "CAB":
        await add_run(store, run_id)
    session = await store.open_session(1, "host", 42)
    rows = await store.claim(session, 10, 2)
    assert [(row.id, row.owner, row.epoch, row.length) for row in rows] == [("C", session, 1, 1), ("A", session, 1, 1)]
    assert rows == [await store.get_run("C"), await store.get_run("A")]
    assert ids(await store.claim(session, 10, 2)) == ["B"]
    assert await store.claim(session, 10, 2) == []
    await store.close()


async def test_a_claim_of_none_takes_none(store: Store) -> None:
    await store.open()
    await add_run(store, "A")
    session = await store.open_session(1, "host", 42)
    assert await store.claim(session, 10, 0) == []
    assert await store.claim(session, 10, -1) == []
    await store.close()


async def test_finished_and_owned_runs_are_not_claimed(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await add_finished(store, "done")
    await add_run(store, "mine", session)
    assert await store.claim(session, 10, 9) == []
    await store.close()


async def test_a_released_run_is_claimed_when_its_time_has_come(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    for run_id, wake_us in (("late", 5_000), ("now", None), ("early", 3_000)):
        key = await add_run(store, run_id, session)
        await store.commit([append(key, 1, head=Head(State.RUNNING, Detail.SLEEPING, wake_us, release=True))])
    assert await store.next_wake() == 3_000
    assert ids(await store.claim(session, 2_999, 9)) == ["now"]
    assert ids(await store.claim(session, 3_000, 9)) == ["early"]
    assert await store.next_wake() == 5_000
    (row,) = await store.claim(session, 9_000, 9)
    assert (row.id, row.epoch, row.wake_us) == ("late", 2, 5_000)
    assert await store.next_wake() is None
    await store.close()


async def test_due_runs_come_in_the_order_of_their_creation(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    for number, wake_us in enumerate((50, None, 20, None, 10)):
        key = await add_run(store, f"r{number}", session)
        await store.commit([Append(key, 1, 1, (), 5, Head(State.RUNNING, Detail.SLEEPING, wake_us, release=True))])
    assert ids(await store.claim(session, 100, 3)) == ["r0", "r1", "r2"]
    assert ids(await store.claim(session, 100, 3)) == ["r3", "r4"]
    await store.close()


async def test_what_a_closed_session_owned_is_claimable_and_its_writes_are_fenced_after_that(store: Store) -> None:
    await store.open()
    old = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", old)
    await store.close_session(old, 2)
    await store.close_session(old, 3)
    assert await store.commit([append(key, 1)]) == [Appended()]
    new = await store.open_session(3, "host", 43)
    (row,) = await store.claim(new, 10, 9)
    assert (row.id, row.owner, row.epoch) == ("A", new, 2)
    assert await store.commit([append(key, 2, 1), append(key, 2, 2)]) == [FencedOff(), Appended()]
    await store.close()


async def test_opening_a_session_ends_all_earlier_ones_in_a_store_of_one_process(store_of_one: Store) -> None:
    store = store_of_one
    await store.open()
    old = await store.open_session(1, "host", 42)
    await add_run(store, "A", old)
    new = await store.open_session(2, "host", 43)
    assert ids(await store.claim(new, 10, 9)) == ["A"]
    await store.close_session(old, 3)
    assert await store.claim(new, 10, 9) == []
    row = await store.get_run("A")
    assert row is not None
    assert row.owner == new
    await store.close()


async def test_a_session_that_is_not_live_gets_and_keeps_nothing(store: Store) -> None:
    await store.open()
    dead = await store.open_session(1, "host", 42)
    await store.close_session(dead, 2)
    await add_run(store, "A", dead)
    assert await store.claim(dead, 10, 9) == []
    assert await store.claim_run(dead, "A") is None
    assert await store.claim(987, 10, 9) == []
    live = await store.open_session(3, "host", 43)
    (row,) = await store.claim(live, 10, 9)
    assert (row.id, row.epoch) == ("A", 2)
    await store.close()


async def test_one_run_is_claimed_due_or_not_and_anew_by_its_owner(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([append(key, 1, head=Head(State.RUNNING, Detail.SLEEPING, 5_000, release=True))])
    row = await store.claim_run(session, "A")
    assert row is not None
    assert (row.owner, row.epoch, row.wake_us, row.length) == (session, 2, 5_000, 2)
    again = await store.claim_run(session, "A")
    assert again is not None
    assert again.epoch == 3
    assert await store.commit([append(key, 2, 2), append(key, 2, 3)]) == [FencedOff(), Appended()]
    await store.close()


async def test_one_run_is_not_claimed_when_it_is_unknown_finished_or_of_another_session(store: Store) -> None:
    await store.open()
    old = await store.open_session(1, "host", 42)
    new = await store.open_session(2, "host", 43)
    await add_run(store, "A", new)
    key = await add_run(store, "done", new)
    await store.commit([finish(key, 1)])
    assert await store.claim_run(new, "nobody") is None
    assert await store.claim_run(new, "done") is None
    assert await store.claim_run(old, "A") is None
    await store.close()


async def test_next_wake_looks_at_runs_that_nobody_owns(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    assert await store.next_wake() is None
    key = await add_run(store, "mine", session)
    await store.commit([append(key, 1, head=Head(State.RUNNING, Detail.SLEEPING, 10))])
    assert await store.next_wake() is None
    await store.close_session(session, 9)
    assert await store.next_wake() == 10
    await store.close()
