"""A process that opens a store, forks a child that lives on, and waits to be killed.

``python -m tests.stores.forking_process PATH`` prints what the child hears when it writes to the store it inherited,
and then its pid. When standard input ends, the child closes the store, and ends like any program, dropping what it
inherited.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.kernel.errors import StoreError
from tests.stores.samples import add_run, append


async def open_store(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    key = await add_run(store, "forked")
    await store.commit([append(key, 1, 0)])
    return store


def live_on(store: SqliteStore) -> None:
    try:
        store.commit_at_once([])
    except StoreError as error:
        os.write(1, f"{error}\n{os.getpid()}\n".encode())
    sys.stdin.read()
    # The worst first: while its reader is open, SQLite does not take the writer for the last connection to the file.
    store._file.rooms(store.namespace).queries.close()
    asyncio.run(store.close())
    sys.exit()


def main(path: Path) -> None:
    store = asyncio.run(open_store(path))
    if os.fork():
        signal.pause()
    live_on(store)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
