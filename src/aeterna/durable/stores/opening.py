"""From a store's URL to a store: the only place that knows which stores there are."""

from __future__ import annotations

from pathlib import Path

from aeterna.durable.stores.contract import Store


def open_store(url: str, namespace: str, *, synchronous: bool = True) -> Store:
    """The store of an URL as `sdk.settings.parse_store` accepts it, not opened yet.

    ``synchronous``: commits survive a crash of the machine too, not only of the process.
    """
    if url == "memory:":
        from aeterna.durable.stores.memory import MemoryStore

        return MemoryStore(namespace)
    from aeterna.durable.stores.sqlite.store import SqliteStore

    path = Path(url.removeprefix("sqlite:///")).expanduser()
    return SqliteStore(path, namespace, synchronous="full" if synchronous else "normal")
