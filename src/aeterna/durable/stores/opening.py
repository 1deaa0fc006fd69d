"""From a store's URL to a store: the only place that knows which stores there are."""

from __future__ import annotations

from pathlib import Path

from aeterna.durable.stores.contract import FullStore, Namespaces
from aeterna.durable.stores.ledger import Upkeep
from aeterna.kernel.clock import SystemClock
from aeterna.kernel.errors import ConfigurationError

POSTGRES = ("postgresql://", "postgres://")


def open_store(url: str, namespace: str, *, synchronous: bool = True) -> FullStore:
    """The store of an URL as `sdk.settings.parse_store` accepts it, not opened yet.

    ``synchronous``: commits survive a crash of the machine too, not only of the process.
    """
    if url == "memory:":
        from aeterna.durable.stores.memory import MemoryStore

        return MemoryStore(namespace)
    if url.startswith(POSTGRES):
        from aeterna.durable.stores.postgres import PostgresStore

        return PostgresStore(url, namespace, synchronous=synchronous)
    from aeterna.durable.stores.sqlite.store import SqliteStore

    return SqliteStore(_path(url), namespace, synchronous="full" if synchronous else "normal")


def open_namespaces(url: str, *, synchronous: bool = True) -> Namespaces:
    """The namespaces of a place, for a server; as `open_store` otherwise."""
    if url == "memory:":
        from aeterna.durable.stores.memory import MemoryNamespaces

        return MemoryNamespaces()
    if url.startswith(POSTGRES):
        from aeterna.durable.stores.postgres import PostgresNamespaces

        return PostgresNamespaces(url, synchronous=synchronous)
    from aeterna.durable.stores.sqlite.store import SqliteNamespaces

    return SqliteNamespaces(_path(url), synchronous="full" if synchronous else "normal")


def open_upkeep(url: str) -> Upkeep:
    """What looks after the store of an URL; as `open_store` otherwise."""
    if url == "memory:":
        raise ConfigurationError("the store memory: lives inside one program: nobody else can look after it")
    if url.startswith(POSTGRES):
        from aeterna.durable.stores.postgres.upkeep import PostgresUpkeep

        return PostgresUpkeep(url, SystemClock())
    from aeterna.durable.stores.sqlite.upkeep import SqliteUpkeep

    return SqliteUpkeep(_path(url), SystemClock())


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///")).expanduser()
