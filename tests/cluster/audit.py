"""A witness inside the database: a trigger that keeps every version of every run's row.

The code under test knows nothing of it. It writes in the same transaction as the change, so it holds what was committed
and nothing else, and in the order in which the row was changed."""

from __future__ import annotations

import asyncpg

from aeterna.durable.core.states import Detail, State
from tests.cluster.observed import Version

_INSTALL = """
CREATE TABLE aeterna.audit (
    number bigserial PRIMARY KEY, at_us bigint NOT NULL, run text NOT NULL, state text NOT NULL, detail text NOT NULL,
    epoch bigint NOT NULL, owner bigint, length integer NOT NULL, wake_us bigint, queue text NOT NULL,
    unread integer NOT NULL
);
CREATE FUNCTION aeterna.keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO aeterna.audit (at_us, run, state, detail, epoch, owner, length, wake_us, queue, unread)
    VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, NEW.id, NEW.state, NEW.detail, NEW.epoch,
            NEW.owner, NEW.length, NEW.wake_us, NEW.queue, NEW.signals + NEW.orders);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_version AFTER INSERT OR UPDATE ON aeterna.runs
    FOR EACH ROW EXECUTE FUNCTION aeterna.keep_version();
"""


async def install(url: str) -> None:
    """From here on versions are kept; the schema must be there."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_INSTALL)
    finally:
        await connection.close()


async def read_versions(url: str) -> list[Version]:
    """All versions so far, in order."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT * FROM aeterna.audit ORDER BY number")
    finally:
        await connection.close()
    return [
        Version(
            order=row["number"], at_us=row["at_us"], run_id=row["run"], state=State(row["state"]),
            detail=Detail(row["detail"]), epoch=row["epoch"], owner=row["owner"], length=row["length"],
            wake_us=row["wake_us"], queue=row["queue"], unread=row["unread"],
        )
        for row in rows
    ]  # fmt: skip


async def read_processes(url: str) -> dict[int, int]:
    """The process of each session there ever was."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT number, pid FROM aeterna.sessions")
    finally:
        await connection.close()
    return {row["number"]: row["pid"] for row in rows}
