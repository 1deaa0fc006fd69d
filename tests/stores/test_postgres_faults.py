"""What a user reads when PostgreSQL is not as it should be: which server and database, what failed, what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from aeterna.durable.stores.contract import Created, RunQuery
from aeterna.durable.stores.postgres import PostgresStore
from aeterna.durable.stores.postgres.faults import Verdict, explain, verdict
from aeterna.durable.stores.postgres.place import parse_place
from aeterna.kernel.errors import (
    ConfigurationError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    UsageError,
)
from tests.stores.postgres_server import PostgresServer, free_port
from tests.stores.samples import add_run, append, create

PLACE = parse_place("postgresql://me:secret@db.example:6000/shop?schema=mine&sslmode=require")


async def test_a_server_that_is_not_there() -> None:
    port = free_port()
    store = PostgresStore(f"postgresql://me:secret@127.0.0.1:{port}/shop")
    with pytest.raises(
        StoreError, match=rf"127\.0\.0\.1:{port}, database shop: .*Check that PostgreSQL runs"
    ) as caught:
        await store.open()
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="not open"):
        await store.get_run("A")


async def test_a_database_that_is_not_there(postgres_server: PostgresServer) -> None:
    store = PostgresStore(postgres_server.url.replace("/postgres", "/shop").replace("//shop", "//postgres"))
    with pytest.raises(StoreError, match=r'"shop" does not exist \(3D000\)\. Create the database: createdb shop'):
        await store.open()


async def test_a_user_who_is_not_there(postgres_server: PostgresServer) -> None:
    store = PostgresStore(postgres_server.url.replace("//postgres@", "//nobody:secret@"))
    with pytest.raises(StoreError, match="Check user and password") as caught:
        await store.open()
    assert "secret" not in str(caught.value)


async def test_a_database_that_cannot_hold_every_text(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    store = PostgresStore(postgres_server.url.replace("/postgres", "/latin").replace("//latin", "//postgres"))
    with pytest.raises(StoreError, match="encoding is LATIN1: create it with ENCODING 'UTF8'"):
        await store.open()
    await connection.execute("DROP DATABASE latin")
    await connection.close()


async def test_tables_that_somebody_dropped(postgres_server: PostgresServer, postgres_url: str) -> None:
    schema = postgres_url.partition("?schema=")[2]
    store = PostgresStore(postgres_url)
    await store.open()
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute(f"DROP TABLE {schema}.runs")
    with pytest.raises(StoreError, match="Tables are missing"):
        await store.get_run("A")
    await connection.close()
    await store.close()


async def test_a_server_that_only_reads(postgres_server: PostgresServer, postgres_url: str) -> None:
    """As after a failover, when this server has become a standby: asked again for a while, on other connections."""
    store = PostgresStore(postgres_url)
    await store.open()
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await connection.execute("SELECT pg_reload_conf()")
    write = asyncio.create_task(store.commit([create("A")]))
    await asyncio.sleep(0.5)
    await connection.execute("SET transaction_read_only = off")
    await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await connection.execute("SELECT pg_reload_conf()")
    assert isinstance((await write)[0], Created)
    await connection.close()
    await store.close()


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ("DELETE FROM {schema}.events WHERE seq = 1", "event 1 is missing, the next segment starts at 2"),
        ("DELETE FROM {schema}.events WHERE seq = 2", "ends at 2 and should have 3 events"),
        ("DELETE FROM {schema}.events", "its 3 events are not there"),
        ("UPDATE {schema}.events SET body = '' WHERE seq = 1", "segment 1: a history segment is empty"),
        ("UPDATE {schema}.events SET events = 2 WHERE seq = 1", "segment 1 should hold 2 events"),
        ("UPDATE {schema}.runs SET state = 'LOST'", "'LOST' is not a valid State"),
    ],
)
async def test_damage_is_named_and_never_read(
    postgres_server: PostgresServer, postgres_url: str, damage: str, match: str
) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    key = await add_run(store, "A")
    await store.commit([append(key, 1, 0)])
    await store.commit([append(key, 2, 0)])
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute(damage.format(schema=postgres_url.partition("?schema=")[2]))
    await connection.close()
    with pytest.raises(StoreCorruptError, match=match):
        await store.history("A")
        await store.get_run("A")
    if "LOST" in match:
        for reading in (store.list_runs(RunQuery()), store.count_runs()):
            with pytest.raises(StoreCorruptError, match=match):
                await reading
    await store.close()


@pytest.mark.parametrize(
    ("state", "kind", "match", "meaning"),
    [
        ("53100", StoreFullError, "disk or memory is full", Verdict.FINAL),
        ("53300", StoreError, "max_connections", Verdict.UNDONE),
        ("25006", StoreReadOnlyError, "connect to the primary", Verdict.UNDONE),
        ("42501", StoreReadOnlyError, "GRANT", Verdict.FINAL),
        ("XX001", StoreCorruptError, "restore a backup", Verdict.FINAL),
        ("57P03", StoreError, "starting or stopping", Verdict.UNDONE),
        ("57P01", StoreError, "starting or stopping", Verdict.LOST),
        ("40001", StoreError, "Look at the server's log", Verdict.UNDONE),
        ("40P01", StoreError, "Look at the server's log", Verdict.UNDONE),
        ("08003", StoreError, "a network leads there", Verdict.LOST),
        ("26000", StoreError, "pool=transaction", Verdict.FINAL),
        ("28P01", StoreError, "user and password", Verdict.FINAL),
        ("08006", StoreError, "a network leads there", Verdict.LOST),
        ("57014", StoreError, "Look at the server's log", Verdict.FINAL),
    ],
)
def test_each_state_of_postgresql_has_its_error(
    state: str, kind: type[StoreError], match: str, meaning: Verdict
) -> None:
    error = asyncpg.PostgresError.new({"C": state, "M": "so it is"})
    assert verdict(error) is meaning
    explained = explain(error, PLACE, "write to")
    assert type(explained) is kind
    text = str(explained)
    assert text.startswith("cannot write to the store in postgresql at db.example:6000, database shop, schema mine: ")
    assert match in text
    assert f"({state})" in text


def test_an_url_says_where_and_how() -> None:
    assert PLACE.dsn == "postgresql://me:secret@db.example:6000/shop?sslmode=require"
    assert (PLACE.server, PLACE.database, PLACE.schema) == ("db.example:6000", "shop", "mine")
    assert PLACE.can_listen
    pooled = parse_place("postgres://db/shop?pool=transaction")
    assert (pooled.is_pooled, pooled.can_listen, pooled.server) == (True, False, "db:5432")
    assert parse_place("postgresql:///shop?host=/run/pg").server == "/run/pg"
    assert parse_place("postgresql://db/shop?profile=distributed").is_distributed


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("mysql://me:secret@db/shop", "does not start with postgresql://"),
        ("postgresql://me:secret@db:port/shop", "is no URL"),
        ("postgresql://db/shop?pool=session-ish", "it is either session .* or transaction"),
        ("postgresql://db/shop?profile=big", "it is either standard .* or distributed"),
        ("postgresql://db/shop?schema=", "has 1 to 63 bytes"),
    ],
)
def test_an_url_that_contradicts_itself_is_refused(url: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match) as caught:
        PostgresStore(url)
    assert "secret" not in str(caught.value)


async def test_a_backup_is_left_to_postgresql(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"pg_dump --format=custom --schema=test_\d+ --file=.*copy"):
        await PostgresStore(postgres_url).backup(tmp_path / "copy")
