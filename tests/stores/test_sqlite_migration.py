"""A store of an earlier version becomes one of this version, and nothing in it is lost."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from aeterna.durable.core.segment import encode_segment
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import Appended
from aeterna.durable.stores.sqlite import SqliteReader, SqliteStore
from aeterna.durable.stores.sqlite.header import APPLICATION_ID
from aeterna.durable.stores.sqlite.statements import load_migrations
from aeterna.kernel.errors import StoreError
from tests.stores.samples import append, created, ids, steps


def make_version_1(path: Path) -> None:
    """A file as the first release wrote it: its process was killed while it executed a run, and while another slept."""
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(load_migrations()[0][1])
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1")
    db.execute("INSERT INTO namespaces VALUES (1, 'orders'), (2, 'bills')")
    db.execute("INSERT INTO sessions VALUES (1, 'host', 7, 5, 9), (2, 'host', 8, 20, NULL)")
    runs = [
        (1, 1, "done", "COMPLETED", "", 1, None, 300, None),
        (2, 1, "owned", "RUNNING", "leased", 1, 2, None, None),
        (3, 1, "asleep", "RUNNING", "sleeping", 1, 2, None, 5_000),
        (4, 2, "owned", "RUNNING", "leased", 1, 2, None, None),
        (5, 1, "queued", "PENDING", "queued", 0, None, None, None),
    ]
    for key, namespace, run_id, state, detail, epoch, owner, finished_us, wake_us in runs:
        values = (key, namespace, run_id, "orders", "1", state, detail, epoch, owner, 100, 200, finished_us, wake_us)
        db.execute(f"INSERT INTO runs VALUES ({'?,' * 13} NULL, '')", values)
        db.execute("INSERT INTO segments VALUES (?, 0, 2, ?)", (key, encode_segment((created(), *steps(1)))))
    db.close()


async def test_a_store_of_version_1_is_migrated_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    make_version_1(path)
    with pytest.raises(StoreError, match="has version 1, older than 2: start its engine once"):
        await SqliteReader(path).open()
    store = SqliteStore(path, "orders")
    await store.open()
    assert await store.list_sessions() == []
    assert await store.count_runs() == {State.COMPLETED: 1, State.RUNNING: 2, State.PENDING: 1}
    session = await store.open_session(1_000, "host", 9)
    assert session == 3
    assert await store.next_wake() == 5_000
    rows = await store.claim(session, 1_000, 9)
    assert [(row.id, row.epoch, row.length, row.queue, row.crashes) for row in rows] == [
        ("owned", 2, 2, "", 0),
        ("queued", 1, 2, "", 0),
    ]
    assert await store.commit([append(rows[0].key, 2, 2)]) == [Appended()]
    assert await store.history("owned") == [created(), *steps(1, 2)]
    assert ids(await store.claim(session, 5_000, 9)) == ["asleep"]
    assert await store.check() == []
    await store.close()
    bills = SqliteStore(path, "bills")
    await bills.open()
    session = await bills.open_session(1_000, "host", 9, lease_us=1_000)
    assert ids(await bills.claim(session, 1_000, 9)) == ["owned"]
    await bills.close()
    reader = SqliteReader(path, "orders")
    await reader.open()
    assert await reader.history("done") == [created(), *steps(1)]
    await reader.close()
