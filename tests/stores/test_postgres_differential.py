"""The memory store and the PostgreSQL store, given the same random operations, answer alike and end alike."""

from __future__ import annotations

import pytest

from aeterna.durable.stores.contract import FullStore
from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.postgres import PostgresStore
from tests.stores.differential import Seen, Side, play
from tests.stores.differential_script import Script

SEEDS = 40
OPERATIONS = 70


@pytest.mark.timeout(280)
async def test_both_stores_answer_alike(postgres_url: str) -> None:
    """Same answers, same errors, same final snapshot for every seed; the seeds reach every operation and outcome.

    Making a schema takes longer than playing, so each seed has a namespace of its own in one."""
    seen = Seen()
    for seed in range(SEEDS):
        await play_in_namespace(postgres_url, seed, seen)
    seen.require_all()


async def play_in_namespace(url: str, seed: int, seen: Seen) -> None:
    """One seed in a namespace of its own. Tokens are those of all namespaces, so it takes its own away."""
    store = PostgresStore(url, f"seed {seed}")
    sides = (Side(MemoryStore(is_shared=True), seed), Side(store, seed))
    await play(Script(seed, is_shared=True), sides, OPERATIONS, seen)
    await store.open()
    await give_back_tokens(store)
    await store.close()


async def give_back_tokens(store: FullStore) -> None:
    """There are none, for the next namespace."""
    for token in await store.list_tokens():
        await store.delete_token(token.hash)
