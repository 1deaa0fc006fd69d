"""Bringing the schema up to date: once, by whichever process comes first."""

from __future__ import annotations

import hashlib
from typing import Any

import asyncpg

from aeterna.durable.stores.postgres.connections import RETRY_OPEN_FOR_S, Connections, Session
from aeterna.durable.stores.postgres.faults import sqlstate
from aeterna.durable.stores.postgres.place import Place
from aeterna.durable.stores.postgres.statements import SCHEMA, load_migrations, quoted
from aeterna.kernel.errors import StoreError, StoreTooNewError

_NO_TABLE = {"42P01", "3F000"}
_TIMEOUT_S = 600.0
_SERVER_VERSION_MIN = 140_000

_BOOK = """\
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.migrations (
    version     integer PRIMARY KEY,
    name        text NOT NULL,
    applied_us  bigint NOT NULL   -- microseconds since 1970 (UTC)
);
"""
_NOTE = "INSERT INTO {schema}.migrations (version, name, applied_us) VALUES ({version}, '{name}', {at});\n"
_SQL_NOW = "(extract(epoch FROM now()) * 1000000)::bigint"


def migration_script(after: int = 0, *, schema: str = SCHEMA, is_distributed: bool = False) -> str:
    """The migrations after that version as one SQL script, for a database whose owner wants to read it first and run
    it himself (``psql --single-transaction -f``)."""
    parts = [_BOOK.format(schema=quoted(schema))]
    for version, name, script in load_migrations(schema, is_distributed=is_distributed):
        if version > after:
            note = _NOTE.format(schema=quoted(schema), version=version, name=name, at=_SQL_NOW)
            parts.append(f"\n-- migration {name}\n\n{script}\n{note}")
    return "".join(parts)


async def find_version(connections: Connections) -> int:
    """The version of the schema, 0 = there is none yet."""
    return await connections.do("open", _find_version, retry_for_s=RETRY_OPEN_FOR_S)


async def migrate(connections: Connections) -> tuple[int, int]:
    """Create the schema or bring it up to date. Any number of processes may do that at the same time. Returns the
    version that was found, and the one that is there now.

    Raises `StoreTooNewError` for a schema of a later release, and the errors of a database that cannot be reached or
    written."""
    newest = load_migrations(connections.place.schema)[-1][0]
    before = version = await find_version(connections)
    if version < newest:
        version = await connections.do("migrate", lambda session: _migrate(session, connections))
    if version > newest:
        raise StoreTooNewError(
            f"the store in {connections.place.description} has version {version}; this release knows {newest}: "
            f"upgrade aeterna here"
        )
    return before, version


async def _find_version(session: Session) -> int:
    await _require_suitable(session)
    try:
        async with session.transaction():
            return await _version(session)
    except asyncpg.PostgresError as error:
        if sqlstate(error) in _NO_TABLE:
            return 0
        raise


async def _migrate(session: Session, connections: Connections) -> int:
    place, connection = session.place, session.connection
    schema = quoted(place.schema)
    async with session.transaction():
        if place.is_distributed:
            await _execute(connection, _BOOK.format(schema=schema))
        else:
            await connection.fetch("SELECT pg_advisory_xact_lock($1)", _lock_number(place), timeout=_TIMEOUT_S)
            if not await _book_is_there(session):
                await _execute(connection, _BOOK.format(schema=schema))
        if place.is_distributed:
            await _execute(connection, f"LOCK TABLE {schema}.migrations")
        version = await _version(session)
        for number, name, script in load_migrations(place.schema, is_distributed=place.is_distributed):
            if number > version:
                at_us = connections.clock.now_us()
                await _execute(connection, script)
                await _execute(connection, _NOTE.format(schema=schema, version=number, name=name, at=at_us))
                version = number
    return version


async def _require_suitable(session: Session) -> None:
    async with session.transaction():
        encoding = await session.connection.fetchval("SELECT current_setting('server_encoding')")
    number = session.connection.get_server_version()
    if encoding != "UTF8":
        raise StoreError(
            f"the store in {session.place.description} cannot hold every text, because the database's encoding is "
            f"{encoding}: create it with ENCODING 'UTF8' TEMPLATE template0"
        )
    if number.major * 10_000 < _SERVER_VERSION_MIN and not session.place.is_distributed:
        raise StoreError(f"{session.place.description} is PostgreSQL {number.major}; 14 or newer is needed")


async def _book_is_there(session: Session) -> bool:
    """Asked first: a user who may not create schemas may still use one that the database's owner has made."""
    name = f"{quoted(session.place.schema)}.migrations"
    return await session.connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name) is True


async def _version(session: Session) -> int:
    found = await session.connection.fetchval(
        f"SELECT coalesce(max(version), 0) FROM {quoted(session.place.schema)}.migrations"  # noqa: S608 - our own name
    )
    return int(found)


async def _execute(connection: asyncpg.Connection[Any], script: str) -> None:
    await connection.execute(script, timeout=_TIMEOUT_S)


def _lock_number(place: Place) -> int:
    """The advisory lock of the schema: locks are shared by everything in a database."""
    digest = hashlib.sha256(b"aeterna migrations " + place.schema.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
