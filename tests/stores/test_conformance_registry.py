"""What every store promises about queues and their limits, schedules and tokens."""

from __future__ import annotations

import msgspec

from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Appended,
    Created,
    Exists,
    FencedOff,
    FireSchedule,
    FullStore,
    Head,
    QueueRow,
    QueueState,
    Rank,
    ScheduleRow,
    TokenRow,
)
from tests.stores.samples import append, create, finish, ids


async def test_priority_then_turns_among_shares_then_age(store: FullStore) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.commit([create(f"a{number}", queue="q", share="a") for number in range(3)])
    await store.commit([create("b0", queue="q", share="b"), create("first", queue="q", priority=-1)])
    assert ids(await store.claim(session, 10, 4)) == ["first", "a0", "b0", "a1"]
    await store.close()


async def test_shares_take_turns_also_when_one_run_at_a_time_is_claimed(store: FullStore) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.commit([create(f"{share}{number}", queue="q", share=share) for share in "ab" for number in range(2)])
    taken = [ids(await store.claim(session, now_us, 1))[0] for now_us in (10, 11, 12, 13)]
    assert taken == ["a0", "b0", "a1", "b1"]
    await store.close()


async def test_the_places_of_a_queue_are_taken_from_start_to_end(store: FullStore) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.put_queue(QueueRow("q", concurrency=2))
    await store.commit([create(f"r{number}", queue="q") for number in range(4)])
    first = await store.claim(session, 10, 9)
    assert ids(first) == ["r0", "r1"]
    asleep = Head(State.RUNNING, Detail.SLEEPING, 10**9, release=True)
    await store.commit([append(first[0].key, 1, 1, head=asleep)])
    assert await store.claim(session, 11, 9) == []
    await store.commit([append(first[1].key, 1, 1, head=Head(State.COMPLETED, Detail.NONE))])
    assert ids(await store.claim(session, 12, 9)) == ["r2"]
    assert await store.list_queues() == [QueueState(QueueRow("q", concurrency=2), 1, 2, 100, 0)]
    await store.close()


async def test_a_session_that_dies_leaks_no_place(store: FullStore) -> None:
    await store.open()
    await store.put_queue(QueueRow("q", concurrency=1))
    await store.commit([create("r0", queue="q"), create("r1", queue="q")])
    for _ in range(3):
        session = await store.open_session(1, "host", 42, lease_us=1_000)
        assert len(await store.claim(session, 10, 9)) == 1
        await store.close_session(session, 20, died=True)
    await store.close()


async def test_limits_per_share_rates_and_pauses(store: FullStore) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.put_queue(QueueRow("q", concurrency_per_share=1))
    await store.commit([create(f"{share}{number}", queue="q", share=share) for share in "ab" for number in range(2)])
    assert ids(await store.claim(session, 10, 9)) == ["a0", "b0"]
    await store.put_queue(QueueRow("slow", rate=2, rate_period_us=1_000, burst=2))
    await store.commit([create(f"s{number}", queue="slow") for number in range(4)])
    assert ids(await store.claim(session, 10_000, 9)) == ["s0", "s1"]
    assert await store.claim(session, 10_499, 9) == []
    assert ids(await store.claim(session, 10_500, 9)) == ["s2"]
    await store.put_queue(QueueRow("slow", is_paused=True))
    assert await store.claim(session, 99_000, 9) == []
    assert await store.delete_queue("slow")
    assert not await store.delete_queue("slow")
    assert ids(await store.claim(session, 99_000, 9)) == ["s3"]
    await store.close()


async def test_begun_runs_come_before_those_that_wait_for_their_start(store: FullStore) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.commit([create("fresh", priority=-5), create("begun")])
    row = await store.claim_run(session, "begun")
    assert row is not None
    await store.commit([append(row.key, 1, row.epoch, head=Head(State.RUNNING, Detail.LEASED, None, release=True))])
    assert ids(await store.claim(session, 10, 9)) == ["begun", "fresh"]
    await store.close()


async def test_a_schedule_fires_once_for_each_time(store: FullStore) -> None:
    await store.open()
    row = ScheduleRow("daily", "{}", 100)
    await store.put_schedule(row)
    await store.put_schedule(ScheduleRow("asleep", "{}", 5, is_paused=True))
    assert await store.next_schedule() == 100
    fire = FireSchedule("daily", 100, 200, create("daily@100"))
    first, second = (await store.commit([fire]), await store.commit([fire]))
    assert isinstance(first[0], Created)
    assert second == [FencedOff()]
    assert (await store.list_schedules())[1] == msgspec.structs.replace(row, next_us=200, last_run="daily@100")
    (outcome,) = await store.commit([FireSchedule("daily", 200, 300, create("daily@100"))])
    assert isinstance(outcome, Exists)
    assert await store.commit([FireSchedule("daily", 300, None, None)]) == [Appended()]
    assert await store.next_schedule() is None
    assert await store.delete_schedule("daily")
    assert not await store.delete_schedule("daily")
    assert await store.commit([fire]) == [FencedOff()]
    await store.close()


async def test_tokens_are_kept_by_their_hash(store: FullStore) -> None:
    await store.open()
    token = TokenRow(b"\x00\xff", "*", "admin", 5, "for ci")
    await store.put_token(token)
    await store.put_token(TokenRow(b"\x01", "orders", "client", 6))
    assert (await store.list_tokens())[0] == token
    assert await store.delete_token(token.hash)
    assert not await store.delete_token(token.hash)
    assert [each.namespace for each in await store.list_tokens()] == ["orders"]
    await store.close()


async def test_a_queue_that_was_never_put_is_listed_while_runs_are_in_it(store: FullStore) -> None:
    await store.open()
    await store.commit([create("A", queue="q"), create("B")])
    assert await store.list_queues() == [QueueState(QueueRow("q"), 1, 0, 100, 0)]
    await store.close()


async def test_the_rank_of_a_run_counts_who_comes_before_it_and_its_share(store: FullStore) -> None:
    """By priority and then age, of the same queue alone; a place is taken from the claim to the end."""
    await store.open()
    session = await store.open_session(1, "host", 42)
    await store.commit([create("going", session, queue="q", share="b"), create("over", session, queue="q", share="b")])
    assert await store.commit([finish(await key_of(store, "over"), 1)]) == [Appended()]
    await store.commit([create("a", queue="q", share="a"), create("elsewhere", queue="r"), create("nowhere")])
    await store.commit([create("late", queue="q", priority=5), create("b", queue="q", share="b")])
    await store.commit([create("urgent", queue="q", priority=-1)])
    expected = {"urgent": (0, 0), "a": (1, 0), "b": (2, 1), "late": (3, 0), "elsewhere": (0, 0)}
    for run_id, (ahead, running) in expected.items():
        row = await store.get_run(run_id)
        assert row is not None
        assert await store.rank(row) == Rank(ahead, running), run_id
    await store.close()


async def key_of(store: FullStore, run_id: str) -> int:
    row = await store.get_run(run_id)
    assert row is not None
    return row.key
