"""The store in a PostgreSQL database, which several processes share. Each name is imported when it is first used: who
opens another store has no time for it."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.postgres.migrating import migration_script
    from aeterna.durable.stores.postgres.namespaces import PostgresNamespaces
    from aeterna.durable.stores.postgres.store import PostgresStore

__all__ = ["PostgresNamespaces", "PostgresStore", "migration_script"]

_HOMES = {"PostgresNamespaces": "namespaces", "PostgresStore": "store", "migration_script": "migrating"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
