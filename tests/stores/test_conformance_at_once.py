"""`Store.commit_at_once` keeps what `Store.commit` promises, or does nothing. The same tests for all stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import Appended, Created, Exists, FencedOff, Outcome, Store, Write
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.kernel.errors import AeternaError, InvariantError, SerializationError, StoreError
from tests.stores.samples import RUNNING, add_run, append, create, created, finish, steps


class FastDiskClock:
    """A clock that stands still, so that commits take no time and stay on the loop."""

    def now_us(self) -> int:
        return 0

    def monotonic_us(self) -> int:
        return 0


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store in turn, not yet open, with a disk that is never slow."""
    if request.param == "memory":
        return MemoryStore()
    return SqliteStore(tmp_path / "store.db", clock=FastDiskClock())


def commit(store: Store, writes: Sequence[Write]) -> list[Outcome]:
    outcomes = store.commit_at_once(writes)
    assert outcomes is not None
    return outcomes


async def test_every_outcome_is_that_of_a_commit(store: Store) -> None:
    await store.open()
    session = await store.open_session(1, "host", 42)
    (made,) = commit(store, [create("A", session)])
    assert isinstance(made, Created)
    assert made.epoch == 1
    before = await store.get_run("A")
    assert before is not None
    outcomes = commit(store, [create("A"), append(made.key, 1), append(made.key, 1, epoch=9), create("B")])
    assert outcomes[:3] == [Exists(before), Appended(), FencedOff()]
    assert commit(store, [append(made.key, 2, head=RUNNING)]) == [Appended()]
    assert await store.history("A") == [created(), *steps(1, 2)]
    assert commit(store, [finish(made.key, 3)]) == [Appended()]
    row = await store.get_run("A")
    assert row is not None
    assert (row.state, row.owner, row.length) == (State.COMPLETED, None, 4)
    assert commit(store, []) == []
    await store.close()


async def test_it_takes_turns_with_commit(store: Store) -> None:
    """Both extend the same histories: what one knows of their lengths the other knows too."""
    await store.open()
    key = await add_run(store, "A")
    for first in range(1, 9, 2):
        assert commit(store, [append(key, first, 0)]) == [Appended()]
        assert await store.commit([append(key, first + 1, 0)]) == [Appended()]
    assert await store.history("A") == [created(), *steps(1, 8)]
    await store.close()


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda key: append(key, 7, 0, head=RUNNING), InvariantError),
        (lambda key: create("C", events=()), InvariantError),
        (lambda key: create("\udcff"), SerializationError),
    ],
)
async def test_an_error_leaves_no_trace_of_any_write(store: Store, bad: object, error: type[AeternaError]) -> None:
    await store.open()
    key = await add_run(store, "A")
    before = await store.get_run("A")
    assert callable(bad)
    with pytest.raises(error):
        store.commit_at_once([create("B"), append(key, 1, 0, head=RUNNING), bad(key)])
    assert await store.get_run("A") == before
    assert await store.get_run("B") is None
    assert commit(store, [append(key, 1, 0)]) == [Appended()]
    assert await store.history("A") == [created(), *steps(1)]
    await store.close()


async def test_what_it_returned_is_there_when_the_store_is_opened_again(store: Store) -> None:
    await store.open()
    commit(store, [create("A")])
    await store.close()
    with pytest.raises(StoreError, match="not open"):
        store.commit_at_once([create("B")])
    await store.open()
    assert await store.history("A") == [created()]
    await store.close()
