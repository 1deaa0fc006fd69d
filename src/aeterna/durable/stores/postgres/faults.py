"""What PostgreSQL, its driver and the network report: whether to try again, and as errors that say what to do.

The one place that knows their vocabularies: nothing of ``asyncpg`` leaves the package ``postgres`` but through here.
"""

from __future__ import annotations

import ssl
from enum import Enum

import asyncpg

from aeterna.durable.stores.postgres.place import Place
from aeterna.kernel.errors import StoreCorruptError, StoreError, StoreFullError, StoreReadOnlyError

_SAFE = "What it acknowledged is safe."

ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)
"""What the driver raises; `TimeoutError` is an `OSError`."""


class Verdict(Enum):
    """What an error means for what was being done."""

    UNDONE = "nothing of it was done; it can be tried again"
    LOST = "the connection broke; whether it was done nobody knows"
    FINAL = "trying again would not help"


_UNDONE = {
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # lock not available
    "23505",  # a unique key: another transaction was first, and is seen when this one looks again
    "57P03",  # the server starts up or shuts down
    "53300",  # too many connections
    "25006",  # read-only transaction: the primary is another server now
    "25P02",  # a transaction that had failed before
}
_LOST = {
    "57P01",  # shut down by an administrator
    "57P02",  # shut down by a crash
    "57P05",  # shut down by a time limit
    "40003",  # a cluster that does not know how the commit ended
}
_CALL = (asyncpg.DataError, asyncpg.ClientConfigurationError, asyncpg.UnsupportedServerFeatureError)
_NEEDS_POOL = {
    "26000",  # a prepared statement that is not there
    "42P05",  # a prepared statement that is there already
    "08P01",  # a setting that the pooler does not know
}
_FULL = {"53100", "53200", "54000"}
_DENIED = {"42501", "25006"}
_MISSING = {"42P01", "3F000", "42703", "42883"}
_DAMAGED = {"XX001", "XX002"}


def verdict(error: BaseException) -> Verdict:
    """What to make of an error of `ERRORS`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Verdict.FINAL
    if isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return Verdict.UNDONE
    state = sqlstate(error)
    if state in _UNDONE:
        return Verdict.UNDONE
    if state in _LOST or (state.startswith("08") and state not in _NEEDS_POOL):
        return Verdict.LOST
    if isinstance(error, (asyncpg.PostgresError, *_CALL)):
        return Verdict.FINAL
    return Verdict.LOST


def sqlstate(error: BaseException) -> str:
    """The five characters by which PostgreSQL names an error; '' for one that is not PostgreSQL's."""
    return getattr(error, "sqlstate", None) or ""


def explain(error: BaseException, place: Place, action: str) -> StoreError:
    """The error for the caller: which store, what failed, and what would help."""
    head = f"cannot {action} the store in {place.description}: {_text(error)}"
    state = sqlstate(error)
    if state in _NEEDS_POOL:
        return StoreError(f"{head}. A pooler seems to stand between: add pool=transaction to the URL. {_SAFE}")
    if state in _FULL:
        return StoreFullError(f"{head}. The server's disk or memory is full: free some, and go on. {_SAFE}")
    if state in _DENIED:
        return StoreReadOnlyError(f"{head}. {_denied(state, place)} {_SAFE}")
    if state in _DAMAGED:
        return StoreCorruptError(
            f"{head}. The database is damaged: keep it, look at the server's log, restore a backup."
        )
    if state in _MISSING:
        return StoreError(
            f"{head}. Tables are missing or not as they were made: give another database or schema= in the URL, or "
            f"restore a backup."
        )
    return StoreError(f"{head}. {_advice(error, state, place)} {_SAFE}")


def corrupt(place: Place, action: str, reason: str) -> StoreCorruptError:
    """The error for contents that cannot be what this store wrote."""
    return StoreCorruptError(
        f"cannot {action} the store in {place.description}: {reason}. The database is damaged: keep it, and restore a "
        f"backup (pg_dump makes them). What it acknowledged is safe in every part that is not damaged."
    )


def _text(error: BaseException) -> str:
    text = str(error).strip().rstrip(".") or type(error).__name__
    return f"{text} ({state})" if (state := sqlstate(error)) else text


def _denied(state: str, place: Place) -> str:
    if state == "25006":
        return "This server is read-only, a standby perhaps: connect to the primary (target_session_attrs=read-write)."
    return (
        f"Its user needs to create the schema {place.schema}, or to use it and all its tables: let the database's "
        f"owner GRANT that, or open the store once."
    )


def _advice(error: BaseException, state: str, place: Place) -> str:
    if state == "3D000":
        return f"Create the database: createdb {place.database}."
    if state.startswith("28"):
        return "Check user and password in the URL, and the server's pg_hba.conf."
    if state == "53300":
        return "Raise the server's max_connections, or put a pooler between (and pool=transaction in the URL)."
    if state in ("57P03", "57P01", "57P02"):
        return "The server is starting or stopping: wait until it runs, and look at its log."
    if isinstance(error, ssl.SSLError):
        return "Check sslmode, sslrootcert and the server's certificate."
    if isinstance(error, OSError) or state.startswith("08") or verdict(error) is Verdict.LOST:
        return f"Check that PostgreSQL runs at {place.server} and that a network leads there."
    return "Look at the server's log."
