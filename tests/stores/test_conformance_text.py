"""What every store does with text that UTF-8 cannot hold: it is refused before anything happens. The same for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import Append, Appended, Head, RunQuery, Store, Write
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.kernel.errors import SerializationError, UsageError
from tests.stores.samples import add_run, append, create, created, steps

BAD = "x\udcff"
ERROR = ev.ErrorRecord("builtins:OSError", f"no file {BAD}")


def bad_writes(key: int) -> dict[str, Write]:
    """One write per place where text can stand, by what the error has to name."""
    return {
        ": id": create(BAD),
        "run 'C': workflow": create("C", workflow=BAD, events=(created(),)),
        "run 'C': version": create("C", version=BAD),
        "run 'C': parent": create("C", parent=BAD),
        r"run 'C': events\[1\]\.reason": create("C", events=(created(), ev.CancelRequested(1, BAD))),
        f"key {key}: head.note": Append(key, 0, 2, (), 300, Head(State.RUNNING, Detail.STUCK, note=BAD)),
        r"events\[0\]\.error\.message": Append(key, 0, 2, (ev.RunFailed(1, ERROR),), 300),
        r"events\[0\]\.name": Append(key, 0, 2, (ev.TimerFired(1, "0", BAD, 1),), 300),
        # Refused, too, where the write would have been fenced off or in vain.
        f"key {key}: events": Append(key, 77, 2, (ev.RunCancelled(1, BAD),), 300),
        "run 'A': version": create("A", version=BAD),
    }


@pytest.mark.parametrize("place", bad_writes(1))
async def test_a_write_with_such_text_undoes_its_batch_and_names_the_field(store: Store, place: str) -> None:
    await store.open()
    key = await add_run(store, "A")
    assert key == 1
    before = await store.get_run("A")
    planned: list[Write] = [append(key, 1, 0), create("B")]
    unplanned: list[Write] = [create("A"), append(key, 1, 0), append(key, 1, 9)]
    for others in (planned, unplanned):
        with pytest.raises(SerializationError, match=place):
            await store.commit([*others, bad_writes(key)[place]])
        assert await store.get_run("A") == before
        assert await store.get_run("B") is None
    assert await store.commit([append(key, 1, 0)]) == [Appended()]
    assert await store.history("A") == [created(), *steps(1)]
    await store.close()


async def test_such_text_is_named_before_any_other_mistake_of_the_batch(store: Store) -> None:
    await store.open()
    key = await add_run(store, "A")
    with pytest.raises(SerializationError):
        await store.commit([create("B", events=()), append(key, 9, 0), create(BAD)])
    await store.close()


ASKING: dict[str, Callable[[Store], Awaitable[object]]] = {
    "get_run": lambda store: store.get_run(BAD),
    "history": lambda store: store.history(BAD),
    "claim_run": lambda store: store.claim_run(1, BAD),
    "delete_runs": lambda store: store.delete_runs(["A", BAD]),
    "list_runs": lambda store: store.list_runs(RunQuery(workflow=BAD)),
    "open_session": lambda store: store.open_session(1, BAD, 1),
}


@pytest.mark.parametrize("name", ASKING)
async def test_asking_with_such_text_is_refused(store: Store, name: str) -> None:
    await store.open()
    with pytest.raises(SerializationError, match=r"^(run id|workflow|host) holds a lone surrogate at character 1"):
        await ASKING[name](store)
    await store.close()


async def test_all_other_text_is_kept(store: Store) -> None:
    await store.open()
    key = await add_run(store, "Grüße \U0001f600 \0 \ufffe")
    await store.commit([Append(key, 0, 1, (), 300, Head(State.RUNNING, Detail.STUCK, note="→ \0"))])
    row = await store.get_run("Grüße \U0001f600 \0 \ufffe")
    assert row is not None
    assert row.note == "→ \0"
    await store.close()


@pytest.mark.parametrize("kind", [MemoryStore, partial(SqliteStore, Path("never-opened.db"))])
def test_a_namespace_is_text_too(kind: Callable[[str], Store]) -> None:
    with pytest.raises(UsageError, match="namespace holds"):
        kind(BAD)
