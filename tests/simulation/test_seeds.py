"""Thousands of seeds: random workflows, latencies, crashes and restarts, in virtual time.

``AETERNA_SIM_SEEDS`` sets how many; ``AETERNA_SIM_FIRST`` where to begin. A seed that fails is named with the
command that replays it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aeterna.durable.stores.sqlite import SqliteStore
from tests.simulation.history import play_seed

SEEDS = int(os.environ.get("AETERNA_SIM_SEEDS", "3000"))
FIRST = int(os.environ.get("AETERNA_SIM_FIRST", "0"))
CHUNKS = max(8, SEEDS // 2_000)

pytestmark = pytest.mark.timeout(0)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_crashes_every_run_ends_as_its_program_allows(chunk: int) -> None:
    """Every run ends; what was acknowledged stays; no committed step runs twice; replays decide alike; nothing
    leaks."""
    for seed in range(FIRST + chunk, FIRST + SEEDS, CHUNKS):
        play_seed(seed)


@pytest.mark.parametrize("seed", range(40))
def test_the_same_holds_on_a_file(seed: int, tmp_path: Path) -> None:
    """The store is closed and opened again between the processes."""
    play_seed(seed, SqliteStore(tmp_path / "store.db", synchronous="normal"))


def test_a_seed_is_the_same_every_time() -> None:
    """Otherwise the command that replays a failure would be worthless."""
    for seed in range(40):
        assert play_seed(seed).digest() == play_seed(seed).digest(), seed
