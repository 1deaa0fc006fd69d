"""The memory store and the SQLite store, given the same random operations, answer alike and end alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from aeterna.durable.stores.memory import MemoryStore
from aeterna.durable.stores.sqlite import SqliteStore
from tests.stores.differential import Seen, Side, play
from tests.stores.differential_script import Script

SEEDS = 300
OPERATIONS = 60


async def test_both_stores_answer_alike(tmp_path: Path) -> None:
    """Same answers, same errors, same final snapshot for every seed; the seeds reach every operation and outcome."""
    seen = Seen()
    commits: Counter[str] = Counter()
    for seed in range(SEEDS):
        oracle = Side(MemoryStore(), seed)
        other = Side(SqliteStore(tmp_path / f"{seed}.db", synchronous="normal"), SEEDS + seed)
        await play(Script(seed, is_shared=False), (oracle, other), OPERATIONS, seen)
        commits += other.commits
    seen.require_all()
    assert min(commits["commit"], commits["commit_at_once"]) > SEEDS, commits
