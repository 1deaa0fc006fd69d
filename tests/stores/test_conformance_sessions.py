"""What every store promises about leases, crashes and claims by a worker that cannot do everything."""

from __future__ import annotations

import msgspec

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Choice, Created, FencedOff, Head, Store
from tests.stores.samples import add_run, append, create, ids

LEASE_US = 1_000


async def leased(store: Store, at_us: int = 0, name: str = "") -> int:
    return await store.open_session(at_us, "host", 42, lease_us=LEASE_US, name=name)


async def crashes_after_a_life(store: Store, key: int, count: int, head: Head | None = None, *, died: bool) -> int:
    """How many crashes run A has after one more session has taken it, recorded so much, and ended."""
    session = await leased(store)
    (row,) = await store.claim(session, 10, 1)
    await store.commit([append(key, row.length, row.epoch, count, head)])
    await store.close_session(session, 20, died=died)
    found = await store.get_run("A")
    assert found is not None
    return found.crashes


async def test_sessions_with_leases_live_beside_each_other_until_their_leases_are_over(store: Store) -> None:
    await store.open()
    one, two = await leased(store), await leased(store, name="second")
    await add_run(store, "A", one)
    assert await store.expire_sessions(LEASE_US - 1) == []
    assert [(row.number, row.name, row.runs, row.expires_us) for row in await store.list_sessions()] == [
        (one, "", 1, LEASE_US),
        (two, "second", 0, LEASE_US),
    ]
    assert await store.renew_sessions([two, 999], 5_000) == [two]
    assert await store.expire_sessions(LEASE_US) == [one]
    assert [row.number for row in await store.list_sessions()] == [two]
    assert ids(await store.claim(two, 2_000, 9)) == ["A"]
    assert await store.claim(one, 2_000, 9) == []
    assert await store.renew_sessions([one], 9_000) == []
    await store.close()


async def test_a_lease_that_is_over_lives_until_somebody_ends_it(store: Store) -> None:
    await store.open()
    session = await leased(store)
    assert await store.renew_sessions([session], 10 * LEASE_US) == [session]
    assert await store.expire_sessions(5 * LEASE_US) == []
    await store.close()


async def test_a_session_without_a_lease_ends_all_others(store_of_one: Store) -> None:
    store = store_of_one
    await store.open()
    worker = await leased(store)
    await add_run(store, "A", worker)
    alone = await store.open_session(5, "host", 43)
    assert [row.number for row in await store.list_sessions()] == [alone]
    assert ids(await store.claim(alone, 10, 9)) == ["A"]
    await store.close()


async def test_a_stale_epoch_is_refused_after_the_lease(store: Store) -> None:
    await store.open()
    one, two = await leased(store), await leased(store)
    key = await add_run(store, "A", one)
    await store.renew_sessions([two], 9_000)
    await store.expire_sessions(2_000)
    await store.claim(two, 2_000, 1)
    assert await store.commit([append(key, 1, epoch=1)]) == [FencedOff()]
    await store.close()


async def test_crashes_count_deaths_in_a_row_without_progress(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    store.set_crash_limit(3)
    for number in range(3):
        session = await leased(store)
        (row,) = await store.claim(session, 10, 1)
        assert row.crashes == number
        # That it was taken over is recorded each time, and is no progress.
        await store.commit([append(key, 1 + number, row.epoch)])
        await store.close_session(session, 20, died=True)
    session = await leased(store)
    assert await store.claim(session, 10, 1) == []
    assert ids(await store.poisoned(5)) == ["A"]
    again = await store.claim_run(session, "A")
    assert again is not None
    assert again.crashes == 3
    await store.commit([append(key, 4, again.epoch, head=Head(State.PENDING, Detail.STUCK, None, release=True))])
    assert await store.poisoned(5) == []
    forced = await store.claim_run(session, "A", by_force=True)
    assert forced is not None
    assert forced.crashes == 0
    await store.close()


async def test_a_death_after_progress_and_an_orderly_end_are_no_crash(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    for died, count in ((True, 2), (False, 0)):
        assert await crashes_after_a_life(store, key, count, died=died) == 0
    await store.close()


async def test_a_forced_claim_takes_a_run_from_its_owner(store: Store) -> None:
    await store.open()
    one, two = await leased(store), await leased(store)
    key = await add_run(store, "A", one)
    assert await store.claim_run(two, "A") is None
    row = await store.claim_run(two, "A", by_force=True)
    assert row is not None
    assert (row.owner, row.epoch) == (two, 2)
    assert await store.commit([append(key, 1, epoch=1)]) == [FencedOff()]
    await store.close()


async def test_a_session_gives_up_what_it_does_not_know_of(store: Store) -> None:
    await store.open()
    one, two = await leased(store), await leased(store)
    keys = [await add_run(store, run_id, one) for run_id in "ABC"]
    assert await store.release_runs(one, [keys[1]], at_us=5) == 2
    assert ids(await store.claim(two, 10, 9)) == ["A", "C"]
    await store.close()


async def test_a_worker_gets_only_what_it_can_execute(store: Store) -> None:
    await store.open()
    session = await leased(store)
    needy = create("needy", requires=("gpu", "ö"))
    await store.commit([create("other", workflow="bills"), create("queued", queue="q"), needy, create("plain")])
    key = await add_run(store, "begun", session, "bills")
    await store.commit([append(key, 1, head=Head(State.RUNNING, Detail.SLEEPING, None, release=True))])
    narrow = Choice((("orders", "1"),), ("p",), ("gpu",))
    assert ids(await store.claim(session, 10, 9, narrow)) == ["plain"]
    assert ids(await store.claim(session, 10, 9, Choice((("orders", "2"),)))) == []
    able = msgspec.structs.replace(narrow, queues=("p", "q"), capabilities=("ö", "gpu", "tpu"))
    assert sorted(ids(await store.claim(session, 10, 9, able))) == ["needy", "queued"]
    assert ids(await store.claim(session, 10, 9)) == ["begun", "other"]
    await store.close()


async def test_a_run_owned_by_a_session_that_is_over_is_claimable(store: Store) -> None:
    await store.open()
    session = await leased(store)
    await store.close_session(session, 5)
    (outcome,) = await store.commit([create("A", session)])
    assert isinstance(outcome, Created)
    assert ids(await store.claim(await leased(store), 10, 9)) == ["A"]
    await store.close()


async def test_a_session_without_a_lease_ends_with_the_store_and_others_go_on(store_of_one: Store) -> None:
    store = store_of_one
    await store.open()
    alone = await store.open_session(1, "host", 42)
    worker = await leased(store)
    await add_run(store, "A", alone)
    await store.close()
    await store.open()
    assert [row.number for row in await store.list_sessions()] == [worker]
    assert await store.claim(alone, 10, 9) == []
    assert ids(await store.claim(worker, 10, 9)) == ["A"]
    await store.close()


async def test_a_death_while_a_run_that_was_taken_over_waits_is_no_crash(store: Store) -> None:
    """Whoever waits in memory beside a run that kills its process is not to blame."""
    await store.open()
    key = await add_run(store, "A")
    for died_while in (Detail.SLEEPING, Detail.WAITING_CHILD, Detail.WAITING_SIGNAL, Detail.RETRYING, Detail.PAUSED):
        assert await crashes_after_a_life(store, key, 1, Head(State.RUNNING, died_while), died=True) == 0
    # Nothing is recorded: it was being brought to where it waits, and that may have been what killed the process.
    assert await crashes_after_a_life(store, key, 0, died=True) == 1
    await store.close()


async def test_a_session_without_a_lease_that_was_not_closed_has_died(store_of_one: Store) -> None:
    store = store_of_one
    await store.open()
    await store.open_session(1, "host", 42)
    await add_run(store, "A", await store.open_session(1, "host", 42))
    await store.close()
    await store.open()
    await add_run(store, "B", await store.open_session(2, "host", 43))
    last = await store.open_session(3, "host", 44)
    assert [(row.id, row.crashes) for row in await store.claim(last, 10, 9)] == [("A", 1), ("B", 1)]
    await store.close_session(last, 20)
    rows = [await store.get_run(run_id) for run_id in "AB"]
    assert [row.crashes for row in rows if row] == [1, 1]
    await store.close()
