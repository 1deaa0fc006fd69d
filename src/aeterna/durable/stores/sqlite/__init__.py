"""The store in one SQLite file. Each name is imported when it is first used: a command that looks needs no engine."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.sqlite.reader import SqliteReader
    from aeterna.durable.stores.sqlite.store import SqliteStore

__all__ = ["SqliteReader", "SqliteStore"]

_HOMES = {"SqliteReader": "reader", "SqliteStore": "store"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
