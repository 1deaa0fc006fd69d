"""What every store promises about listing, counting and deleting runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import Page, RunQuery, Store
from aeterna.kernel.errors import UsageError
from tests.stores.samples import RUNNING, add_finished, add_run, append, ids


async def test_unknown_runs_are_none_and_have_no_history(store: Store) -> None:
    await store.open()
    assert await store.get_run("nobody") is None
    assert await store.history("nobody") == []
    assert await store.list_runs(RunQuery()) == Page((), None)
    assert await store.count_runs() == {}
    await store.close()


async def test_pages_list_the_newest_first_and_end_without_a_cursor(store: Store) -> None:
    await store.open()
    for number in range(6):
        await add_run(store, f"r{number}")
    first = await store.list_runs(RunQuery(limit=4))
    assert ids(first.rows) == ["r5", "r4", "r3", "r2"]
    assert first.next is not None
    await add_run(store, "r6")
    second = await store.list_runs(RunQuery(limit=4, before=first.next))
    assert (ids(second.rows), second.next) == (["r1", "r0"], None)
    exact = await store.list_runs(RunQuery(limit=2, before=first.next))
    assert (ids(exact.rows), exact.next) == (["r1", "r0"], None)
    assert await store.list_runs(RunQuery(limit=0)) == Page((), None)
    await store.close()


async def test_a_listed_row_is_the_row(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    await store.commit([append(key, 1, 0, count=3)])
    assert (await store.list_runs(RunQuery())).rows == (await store.get_run("A"),)
    await store.close()


async def test_queries_match_all_fields_given(store: Store) -> None:
    await store.open()
    for run_id, workflow in (("A", "x"), ("B", "y"), ("C", "x"), ("D", "x")):
        key = await add_run(store, run_id, workflow=workflow)
        if run_id in "AB":
            await store.commit([append(key, 1, 0, head=RUNNING)])
    await add_finished(store, "E")
    assert ids((await store.list_runs(RunQuery(workflow="x"))).rows) == ["D", "C", "A"]
    assert ids((await store.list_runs(RunQuery(states=(State.RUNNING,)))).rows) == ["B", "A"]
    both = RunQuery(workflow="x", states=(State.RUNNING, State.FAILED))
    assert ids((await store.list_runs(both)).rows) == ["A"]
    assert ids((await store.list_runs(RunQuery(states=(State.COMPLETED, State.RUNNING)))).rows) == ["E", "B", "A"]
    assert await store.count_runs() == {State.PENDING: 2, State.RUNNING: 2, State.COMPLETED: 1}
    await store.close()


async def test_only_finished_runs_are_deleted_with_their_histories(store: Store) -> None:
    await store.open()
    await add_finished(store, "done")
    await add_run(store, "open")
    assert await store.delete_runs(["done", "open", "nobody", "done"]) == 1
    assert await store.get_run("done") is None
    assert await store.history("done") == []
    assert await store.get_run("open") is not None
    assert await store.delete_runs([]) == 0
    assert await add_run(store, "done")
    await store.close()


async def test_retention_deletes_the_longest_finished_first(store: Store) -> None:
    await store.open()
    for run_id, at_us in (("A", 300), ("B", 100), ("C", 200), ("D", 400)):
        await add_finished(store, run_id, at_us)
    await add_run(store, "open")
    assert await store.delete_finished(400, 2) == 2
    assert ids((await store.list_runs(RunQuery())).rows) == ["open", "D", "A"]
    assert await store.delete_finished(400, 0) == 0
    assert await store.delete_finished(400, 9) == 1
    assert ids((await store.list_runs(RunQuery())).rows) == ["open", "D"]
    await store.close()


async def test_a_backup_never_overwrites(store: Store, tmp_path: Path) -> None:
    """The memory store has nothing to back up and says so; a file store refuses a target that exists."""
    target = tmp_path / "copy.db"
    target.write_bytes(b"precious")
    await store.open()
    with pytest.raises(UsageError, match=r"copy\.db"):
        await store.backup(target)
    assert target.read_bytes() == b"precious"
    await store.close()
