"""What every store promises about writing: creation, appends, fencing, atomicity. The same tests for all stores."""

from __future__ import annotations

import msgspec
import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Append, Appended, Created, Exists, FencedOff, Head, RunQuery, RunRow, Store
from aeterna.kernel.errors import InvariantError, StoreError
from tests.stores.samples import RUNNING, add_run, append, create, created, finish, step, steps


async def test_a_created_run_reads_back_as_it_was_written(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    (outcome,) = await store.commit(
        [create("A", session, parent="P", version="7", events=(created(100), step(1, 150)))]
    )
    assert isinstance(outcome, Created)
    assert outcome.epoch == 1
    assert await store.get_run("A") == RunRow(
        key=outcome.key,
        id="A",
        workflow="orders",
        version="7",
        state=State.PENDING,
        detail=Detail.QUEUED,
        created_us=100,
        updated_us=150,
        length=2,
        epoch=1,
        owner=session,
        parent="P",
    )
    assert await store.history("A") == [created(100), step(1, 150)]
    await store.close()


async def test_a_run_without_an_owner_starts_at_epoch_0(store: Store) -> None:
    await store.open()
    (outcome,) = await store.commit([create("A")])
    assert isinstance(outcome, Created)
    assert outcome.epoch == 0
    row = await store.get_run("A")
    assert row is not None
    assert row.owner is None
    await store.close()


async def test_creating_an_id_again_returns_the_row_and_writes_nothing(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    before = await store.get_run("A")
    assert before is not None
    outcomes = await store.commit([create("A", workflow="other"), create("B"), create("B"), append(key, 1, 0)])
    first, second, third, fourth = outcomes
    assert first == Exists(before)
    assert isinstance(second, Created)
    assert third == Exists((await store.get_run("B")) or before)
    assert fourth == Appended()
    assert await store.history("A") == [created(), step(1)]
    await store.close()


async def test_exists_shows_what_the_same_commit_did_before_it(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    _, seen, _ = await store.commit([append(key, 1, 0, head=RUNNING), create("A"), append(key, 2, 0)])
    assert isinstance(seen, Exists)
    assert (seen.row.state, seen.row.length) == (State.RUNNING, 2)
    await store.close()


async def test_a_run_cannot_be_created_without_events(store: Store) -> None:
    await store.open()
    with pytest.raises(InvariantError, match="'A'"):
        await store.commit([create("B"), create("A", events=())])
    assert await store.get_run("B") is None
    await store.close()


async def test_appends_extend_the_history_without_touching_the_row(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    before = await store.get_run("A")
    assert before is not None
    assert await store.commit([append(key, 1, 0), append(key, 2, 0, count=3)]) == [Appended(), Appended()]
    assert await store.get_run("A") == msgspec.structs.replace(before, length=5)
    assert await store.history("A") == [created(), *steps(1, 4)]
    await store.close()


@pytest.mark.parametrize("start", [-3, 0, 1, 2, 3, 4, 5, 6, 100])
async def test_a_history_can_be_read_from_any_number(store: Store, start: int) -> None:
    """Wherever the segments lie: here they hold the events 0, 1-3 and 4-5."""
    await store.open()
    key = await add_run(store, "A")
    await store.commit([append(key, 1, 0, count=3)])
    await store.commit([append(key, 4, 0, count=2)])
    assert await store.history("A", start) == [created(), *steps(1, 5)][max(start, 0) :]
    await store.close()


async def test_every_kind_of_event_comes_back_equal(store: Store) -> None:
    await store.open()
    payload = ev.Payload(b"j1")
    error = ev.ErrorRecord("builtins:ValueError", "no", "trace", payload)
    kinds: tuple[ev.AnyEvent, ...] = (
        ev.RunCreated(1, "w", "1", payload, "parent", "3.11"),
        ev.RunStarted(2, 7),
        ev.StepCompleted(3, "0", "a", 1, b"f", payload, 2, 10),
        ev.StepFailed(4, "0", "a", 2, b"f", error, 3, 10),
        ev.StepRetrying(5, "0", "a", 3, b"f", error, 1, 99),
        ev.TimerStarted(6, "0", "t", 1, 77),
        ev.TimerFired(7, "0", "t", 1),
        ev.ChildStarted(8, "0", "c", 1, b"f", "child"),
        ev.ChildCompleted(9, "0", "c", 1, payload),
        ev.ChildFailed(10, "0", "c", 1, error),
        ev.CancelRequested(11, "why"),
        ev.RunCompleted(12, payload),
        ev.RunFailed(13, error),
        ev.RunCancelled(14, "why"),
    )
    await store.commit([create("A", events=kinds)])
    assert await store.history("A") == list(kinds)
    await store.close()


async def test_a_head_changes_the_row_and_a_final_one_finishes_the_run(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    await store.commit([append(key, 1, head=Head(State.RUNNING, Detail.STUCK, 5_000, note="code changed"), at_us=400)])
    row = await store.get_run("A")
    assert row is not None
    assert (row.state, row.detail, row.wake_us, row.note) == (State.RUNNING, Detail.STUCK, 5_000, "code changed")
    assert (row.owner, row.epoch, row.updated_us, row.finished_us) == (session, 1, 400, None)
    await store.commit([finish(key, 2, at_us=950)])
    row = await store.get_run("A")
    assert row is not None
    assert (row.state, row.detail, row.wake_us, row.note) == (State.COMPLETED, Detail.NONE, None, "")
    assert (row.owner, row.epoch, row.updated_us, row.finished_us) == (None, 1, 950, 950)
    await store.close()


async def test_a_release_gives_the_run_up_and_keeps_its_epoch(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    key = await add_run(store, "A", session)
    head = Head(State.RUNNING, Detail.SLEEPING, wake_us=5_000, release=True)
    assert await store.commit([Append(key, 1, 1, (), 300, head)]) == [Appended()]
    row = await store.get_run("A")
    assert row is not None
    assert (row.owner, row.epoch, row.wake_us, row.length) == (None, 1, 5_000, 1)
    await store.close()


async def test_an_append_of_another_epoch_leaves_no_trace_and_disturbs_nobody(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    a, b = await add_run(store, "A", session), await add_run(store, "B", session)
    assert await store.claim_run(session, "A") is not None
    before = await store.get_run("A")
    writes = [append(b, 1), append(a, 1, 1, head=RUNNING), Append(a, 1, 9, (), 300), append(a, 77, 5), append(b, 2)]
    assert await store.commit(writes) == [Appended(), FencedOff(), FencedOff(), FencedOff(), Appended()]
    assert await store.get_run("A") == before
    assert len(await store.history("B")) == 3
    await store.close()


async def test_an_append_to_an_unknown_or_deleted_run_is_fenced_off(store: Store) -> None:
    """A key is never given twice: who still holds that of a deleted run can write to no other."""
    await store.open()
    key = await add_run(store, "A")
    await store.commit([finish(key, 1, 0)])
    assert await store.delete_runs(["A"]) == 1
    other = await add_run(store, "B")
    assert other != key
    assert await store.commit([append(key, 2, 0), append(987_654, 0)]) == [FencedOff(), FencedOff()]
    assert len(await store.history("B")) == 1
    await store.close()


async def test_an_empty_append_tells_whether_the_epoch_is_still_right(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    before = await store.get_run("A")
    assert await store.commit([Append(key, 0, 1, (), 300), Append(key, 1, 1, (), 300)]) == [Appended(), FencedOff()]
    assert await store.get_run("A") == before
    await store.close()


@pytest.mark.parametrize("first", [0, 1, 2, 3, 5, 9])
@pytest.mark.parametrize("count", [0, 1])
async def test_a_wrong_position_is_an_invariant_error_and_undoes_the_whole_commit(
    store: Store, first: int, count: int
) -> None:
    """The segments hold the events 0, 1-2 and 3: only 4 is right, others are taken or leave a gap."""
    await store.open()
    key = await add_run(store, "A")
    await store.commit([append(key, 1, 0, count=2)])
    with pytest.raises(InvariantError, match="'A' has 4 events"):
        await store.commit(
            [create("B"), append(key, 3, 0, head=RUNNING), append(key, first, 0, count=count, head=RUNNING)]
        )
    assert await store.get_run("B") is None
    row = await store.get_run("A")
    assert row is not None
    assert (row.length, row.state) == (3, State.PENDING)
    assert await store.commit([append(key, 3, 0), create("B")]) == [Appended(), (await _created(store, "B"))]
    await store.close()


async def _created(store: Store, run_id: str) -> Created:
    row = await store.get_run(run_id)
    assert row is not None
    return Created(row.key, row.epoch)


async def test_a_commit_of_nothing_is_nothing(store: Store) -> None:
    await store.open()
    assert await store.commit([]) == []
    assert await store.list_runs(RunQuery()) == await store.list_runs(RunQuery())
    await store.close()


async def test_a_closed_store_says_so_and_opening_again_finds_everything(store: Store) -> None:
    with pytest.raises(StoreError, match="not open"):
        await store.get_run("A")
    await store.open()
    await store.open()
    await add_run(store, "A")
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="not open"):
        await store.commit([])
    await store.open()
    assert await store.get_run("A") is not None
    await store.close()
