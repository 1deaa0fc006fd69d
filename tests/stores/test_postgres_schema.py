"""Migrations and partitions: how the tables come to be, grow, and are given back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from aeterna.durable.stores.contract import Created, RunQuery
from aeterna.durable.stores.postgres import PostgresStore, migration_script
from aeterna.durable.stores.postgres.connections import KEPT
from aeterna.durable.stores.postgres.statements import load_statements
from aeterna.kernel.errors import StoreReadOnlyError, StoreTooNewError
from tests.stores.postgres_server import PostgresServer
from tests.stores.samples import add_finished, add_run, append, create, created, finish, ids, steps

DAY_US = 86_400_000_000
TODAY = 20_000 - 20_000 % 7


class Calendar:
    """A clock that shows the day it is told."""

    def __init__(self, day: int = TODAY) -> None:
        self.day = day
        self._ticks = 0

    def now_us(self) -> int:
        return self.day * DAY_US + 5

    def monotonic_us(self) -> int:
        self._ticks += 1
        return self._ticks


@asynccontextmanager
async def looking_into(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection that sees the store's schema first."""
    base, _, schema = url.partition("?schema=")
    connection = await asyncpg.connect(base, server_settings={"search_path": schema})
    try:
        yield connection
    finally:
        await connection.close()


async def partitions(url: str) -> dict[str, int]:
    """How many rows lie in which."""
    async with looking_into(url) as connection:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class JOIN pg_inherits ON oid = inhrelid WHERE inhparent = 'events'::regclass"
        )
        return {row[0]: await connection.fetchval(f"SELECT count(*) FROM {row[0]}") for row in rows}


def name(first: int) -> str:
    return f"events_{first}_{first + 7}"


async def test_histories_lie_where_their_runs_were_created(postgres_url: str) -> None:
    """Partitions are made ahead of time, and what is appended later lies with the beginning."""
    calendar = Calendar()
    store = PostgresStore(postgres_url, clock=calendar)
    await store.open()
    key = await add_run(store, "A")
    calendar.day += 8
    await store.commit([append(key, 1, 0), create("B")])
    assert await partitions(postgres_url) == {"events_other": 0, name(TODAY): 2, name(TODAY + 7): 1}
    await store.expire_sessions(1)
    assert set(await partitions(postgres_url)) == {"events_other", name(TODAY), name(TODAY + 7), name(TODAY + 14)}
    assert await store.history("A") == [created(), *steps(1)]
    await store.close()


async def test_what_has_no_partition_is_kept_all_the_same(postgres_url: str) -> None:
    """A process whose partitions nobody made: nothing is lost, and they are not made over what lies there."""
    calendar = Calendar()
    store = PostgresStore(postgres_url, clock=calendar)
    await store.open()
    calendar.day += 30
    key = await add_run(store, "A")
    await store.expire_sessions(1)
    await store.commit([append(key, 1, 0)])
    found = await partitions(postgres_url)
    assert found["events_other"] == 2
    assert await store.history("A") == [created(), *steps(1)]
    await store.close()


async def test_retention_drops_partitions_whose_runs_are_gone(postgres_url: str) -> None:
    calendar = Calendar()
    store = PostgresStore(postgres_url, clock=calendar)
    await store.open()
    for number in range(5):
        await add_finished(store, f"old {number}")
    calendar.day += 8
    await store.expire_sessions(1)
    await add_finished(store, "young", at_us=5_000)
    assert await store.delete_finished(1_000, 3) == 3
    assert (await partitions(postgres_url))[name(TODAY)] == 10, "left to be dropped"
    assert await store.delete_finished(1_000, 3) == 2
    assert name(TODAY) not in await partitions(postgres_url)
    assert ids((await store.list_runs(RunQuery())).rows) == ["young"]
    assert await store.delete_finished(9_000, 3) == 1
    assert (await partitions(postgres_url))[name(TODAY + 7)] == 0, "deleted, because it goes on being filled"
    await store.close()


async def test_a_partition_stays_for_one_run_and_gives_back_the_room_of_others(postgres_url: str) -> None:
    calendar = Calendar()
    store = PostgresStore(postgres_url, clock=calendar)
    await store.open()
    key = await add_run(store, "long")
    for number in range(5):
        await add_finished(store, f"old {number}")
    calendar.day += 14
    await store.expire_sessions(1)
    assert await store.delete_finished(1_000, 9) == 5
    assert (await partitions(postgres_url))[name(TODAY)] == 11
    calendar.day += 1
    await store.expire_sessions(1)
    assert (await partitions(postgres_url))[name(TODAY)] == 1
    assert await store.history("long") == [created()]
    await store.commit([finish(key, 1, 0)])
    assert await store.delete_runs(["long"]) == 1
    calendar.day += 1
    await store.expire_sessions(1)
    assert name(TODAY) not in await partitions(postgres_url)
    await store.close()


async def test_a_long_query_keeps_partitions_from_being_made_and_nothing_else(postgres_url: str) -> None:
    calendar = Calendar()
    store = PostgresStore(postgres_url, clock=calendar)
    await store.open()
    async with looking_into(postgres_url) as connection:
        await connection.execute("BEGIN; LOCK TABLE events_other IN ROW EXCLUSIVE MODE")
        calendar.day += 8
        await store.expire_sessions(1)
        assert name(TODAY + 14) not in await partitions(postgres_url)
        assert isinstance((await store.commit([create("A")]))[0], Created)
        await connection.execute("COMMIT")
    calendar.day += 1
    await store.expire_sessions(1)
    assert name(TODAY + 14) in await partitions(postgres_url)
    await store.close()


async def test_the_migrations_can_be_printed_and_run_by_the_database_owner(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Somebody who may not create anything uses what the owner has made."""
    schema = postgres_url.partition("?schema=")[2]
    owner = await asyncpg.connect(postgres_server.url)
    await owner.execute(f"CREATE ROLE {schema}_user LOGIN")
    url = postgres_url.replace("//postgres@", f"//{schema}_user@")
    store = PostgresStore(url)
    with pytest.raises(StoreReadOnlyError, match=rf"permission denied .*create the schema {schema}"):
        await store.open()
    await owner.execute(migration_script(schema=schema))
    await owner.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO {schema}_user;"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema}_user;"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {schema}_user"
    )
    await store.open()
    key = await add_run(store, "A")
    await store.commit([append(key, 1, 0)])
    assert await store.history("A") == [created(), *steps(1)]
    await store.close()
    await owner.close()


async def test_a_schema_of_a_later_release_is_refused(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    await store.close()
    async with looking_into(postgres_url) as connection:
        await connection.execute("INSERT INTO migrations VALUES (99, '0099_future', 1)")
    with pytest.raises(StoreTooNewError, match=r"version 99; this release knows \d+: upgrade aeterna"):
        await store.open()


async def test_a_schema_may_have_any_name(postgres_server: PostgresServer) -> None:
    store = PostgresStore(f"{postgres_server.url}?schema=My%20%22own%22")
    await store.open()
    await add_finished(store, "A")
    assert 'schema My "own"' in store.description
    await store.close()
    async with asyncio.timeout(20):
        await store.open()
    assert await store.get_run("A") is not None
    await store.close()


_KEYS = {"runs_pkey", "runs_namespace_id_key", "sessions_pkey", "inbox_pkey", "inbox_ids"}
_KEYS.add("sessions_live")  # Sessions that live are few.


@pytest.mark.parametrize("statement", sorted(KEPT))
async def test_plans_that_are_kept_find_rows_by_their_keys(postgres_url: str, statement: str) -> None:
    """Also when they were made while the tables were empty, and any index looked as good as the other."""
    store = PostgresStore(postgres_url)
    await store.open()
    sql = load_statements(store.place.schema)[statement]
    count = max(int(number) for number in re.findall(r"\$(\d+)", sql))
    async with looking_into(postgres_url) as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
        await connection.execute(f"PREPARE kept AS {sql}")
        nothing = ", ".join(["NULL"] * count)
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE kept ({nothing})"))
    used = set(re.findall(r"using (\w+)|Bitmap Index Scan on (\w+)", plan))
    names = {name for pair in used for name in pair if name}
    assert "Seq Scan" not in plan, plan
    assert all(each in _KEYS or each.startswith("events_") for each in names), plan
    assert names, plan
    await store.close()
