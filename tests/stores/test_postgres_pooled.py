"""Behind a pooler that hands out connections by transaction, the store does without anything that a session keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from aeterna.durable.operations.export import Export
from aeterna.durable.stores.audit import Auditor, audit
from aeterna.durable.stores.contract import Appended, Created, Notice, NoticeKind, Write
from aeterna.durable.stores.ledger import Wanted
from aeterna.durable.stores.postgres import PostgresStore
from aeterna.kernel.errors import StoreError
from tests.stores.differential import Seen
from tests.stores.kept import Kept
from tests.stores.pgbouncer import PgBouncer
from tests.stores.postgres_server import PostgresServer
from tests.stores.samples import append, create
from tests.stores.test_postgres_differential import play_in_namespace

SEEDS = 6


@pytest.fixture(scope="module")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    with PgBouncer(postgres_server) as pooler:
        yield pooler


async def test_it_answers_like_the_memory_store(pgbouncer: PgBouncer) -> None:
    seen = Seen()
    for seed in range(SEEDS):
        await play_in_namespace(f"{pgbouncer.url}?schema=pooled&pool=transaction", 1_000 + seed, seen)
    assert seen.outcomes["Created"] > SEEDS, seen.outcomes


@pytest.mark.parametrize("synchronous", [True, False])
async def test_many_transactions_at_once_get_along(pgbouncer: PgBouncer, synchronous: bool) -> None:
    """More of them than the pooler has connections, each with statements that follow each other."""
    url = f"{pgbouncer.url}?schema=pooled&pool=transaction"
    store = PostgresStore(url, f"many {synchronous}", synchronous=synchronous)
    await store.open()

    async def work(number: int) -> None:
        (made,) = await store.commit([create(f"r{number}")])
        assert isinstance(made, Created)
        for first in range(1, 9):
            writes: list[Write] = [append(made.key, first, 0), create(f"r{number}/{first}")]
            first_outcome, second = await store.commit(writes)
            assert (first_outcome, type(second)) == (Appended(), Created)
        assert len(await store.history(f"r{number}")) == 9

    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(work(number))
    await store.close()


async def test_it_is_looked_after_through_the_pooler(pgbouncer: PgBouncer) -> None:
    kept = Kept(f"{pgbouncer.url}?schema=looked_after&pool=transaction", "looked_after")
    assert (await kept.upkeep.migrate())[0] == 0
    await kept.live()
    auditor = Auditor()
    async with kept.upkeep.read() as ledger:
        assert [finding async for finding in audit(ledger, auditor, lambda: None)] == []
        assert len([line async for line in Export(ledger, Wanted()).lines(0)]) > auditor.events > 10
    before, after = await kept.upkeep.vacuum()
    assert min(before, after) > 0


async def test_nobody_hears_notices_there_and_nobody_minds(pgbouncer: PgBouncer) -> None:
    store = PostgresStore(f"{pgbouncer.url}?schema=pooled&pool=transaction")
    store.watch(lambda notice: pytest.fail(f"heard {notice}"))
    await store.open()
    store.notify([Notice(NoticeKind.RUNS)])
    await store.close()


async def test_a_pooler_nobody_told_of_is_guessed(pgbouncer: PgBouncer) -> None:
    """Without ``pool=transaction`` a connection is given settings to keep, which a pooler refuses."""
    store = PostgresStore(f"{pgbouncer.url}?schema=pooled")
    with pytest.raises(StoreError, match="add pool=transaction to the URL"):
        await store.open()
