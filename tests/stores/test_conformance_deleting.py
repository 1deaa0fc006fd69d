"""What every store promises about deleting runs with parents and children. The same tests for all stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from aeterna.durable.stores.contract import Created, RunQuery, Store
from tests.stores.samples import create, finish, ids

Delete = Callable[[Store], Awaitable[int]]

ALL = ["P", "P/a", "P/a/1", "P/b", "other"]


async def add_family(store: Store, unfinished: tuple[str, ...] = (), names: list[str] = ALL) -> None:
    """Runs of these names, the parent being what stands before the last slash, finished at 901, 902, ... but for
    ``unfinished``."""
    for at_us, name in enumerate(names, 901):
        (outcome,) = await store.commit([create(name, parent=name.rpartition("/")[0] or None)])
        assert isinstance(outcome, Created), outcome
        if name not in unfinished:
            await store.commit([finish(outcome.key, 1, epoch=0, at_us=at_us)])


async def left(store: Store) -> list[str]:
    return sorted(ids((await store.list_runs(RunQuery())).rows))


def by_ids(*run_ids: str) -> Delete:
    return lambda store: store.delete_runs(run_ids)


def by_age(limit: int = 99, before_us: int = 10_000) -> Delete:
    return lambda store: store.delete_finished(before_us, limit)


@pytest.mark.parametrize("delete", [by_ids("P/a", "P/b"), by_age()])
async def test_what_an_unfinished_parent_may_ask_for_again_stays(store: Store, delete: Delete) -> None:
    """A parent that is loaded again must find the results of its children, or they would run again."""
    await store.open()
    await add_family(store, unfinished=("P",))
    await delete(store)
    assert {"P", "P/a", "P/b"} <= set(await left(store))
    await store.close()


async def test_a_grandchild_is_not_needed_once_its_own_parent_has_finished(store: Store) -> None:
    await store.open()
    await add_family(store, unfinished=("P",))
    assert await store.delete_runs(["P/a/1"]) == 1
    assert await left(store) == ["P", "P/a", "P/b", "other"]
    await store.close()


@pytest.mark.parametrize("delete", [by_ids("P"), by_ids("P/b", "P", "P/a", "P"), by_age(1, 905)])
async def test_a_run_goes_with_all_its_descendants(store: Store, delete: Delete) -> None:
    """A new run of the same id must not find children of the old one. By age, they do not count towards the limit."""
    await store.open()
    await add_family(store)
    assert await delete(store) == 4
    assert await left(store) == ["other"]
    (outcome,) = await store.commit([create("P/a", parent="P")])
    assert isinstance(outcome, Created)
    assert len(await store.history("P/a")) == 1
    await store.close()


@pytest.mark.parametrize("unfinished", ["P/b", "P/a/1"])
@pytest.mark.parametrize("delete", [by_ids("P"), by_age(1, 902)])
async def test_a_run_with_an_unfinished_descendant_stays_whole(store: Store, delete: Delete, unfinished: str) -> None:
    """As when a stuck parent was cancelled while its child went on. Once the child has ended, all go together."""
    await store.open()
    await add_family(store, unfinished=(unfinished,))
    assert await delete(store) == 0
    assert await left(store) == sorted(ALL)
    row = await store.get_run(unfinished)
    assert row is not None
    await store.commit([finish(row.key, 1, epoch=0)])
    assert await store.delete_runs(["P"]) == 4
    await store.close()


async def test_by_age_a_run_stays_while_a_descendant_is_too_young(store: Store) -> None:
    await store.open()
    await add_family(store)
    assert await store.delete_finished(903, 1) == 0
    assert await store.delete_finished(904, 1) == 2
    assert await left(store) == ["P", "P/b", "other"]
    await store.close()


async def test_runs_that_have_to_stay_take_no_place_within_the_limit(store: Store) -> None:
    """Otherwise the children of one long run would keep retention from everything younger."""
    await store.open()
    await add_family(store, unfinished=("P",), names=["P", "P/a", "P/b", "P/c", "other", "last"])
    assert await store.delete_finished(10_000, 1) == 1
    assert await left(store) == ["P", "P/a", "P/b", "P/c", "last"]
    await store.close()


async def test_a_child_whose_parent_is_gone_or_was_never_there_can_go(store: Store) -> None:
    await store.open()
    await add_family(store, names=["nobody/x", "nobody/y"])
    assert await store.delete_runs(["nobody/x"]) == 1
    assert await store.delete_finished(10_000, 9) == 1
    await store.close()


async def test_families_that_run_in_a_circle_are_deleted_once(store: Store) -> None:
    """No engine makes them; deleting them must end all the same."""
    await store.open()
    for name, parent in (("A", "B"), ("B", "A"), ("self", "self")):
        (outcome,) = await store.commit([create(name, parent=parent)])
        assert isinstance(outcome, Created)
        await store.commit([finish(outcome.key, 1, epoch=0)])
    assert await store.delete_runs(["B", "self"]) == 3
    assert await left(store) == []
    await store.close()
