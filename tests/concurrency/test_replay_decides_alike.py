"""Whatever a run decided about who came first, it decides again: after a kill at any event, and under any hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core.segment import encode_segment
from tests.concurrency.trees import Recorded, execute, is_final, replay, tree
from tests.simulation.programs import fits

TREES_PER_PROCESS = 60


def value_of(recorded: Recorded) -> object:
    run = recorded.run
    assert run.result is not None, run.error
    return json.loads(run.result[1:])


@given(seed=st.integers(0, 1 << 32), latency=st.integers(0, 1 << 16))
def test_a_kill_at_any_event_changes_no_decision(seed: int, latency: int) -> None:
    """Each prefix of the history replays to a prefix of the decisions, each one longer than or equal to the one
    before."""
    recorded = execute(tree(seed), latency)
    assert fits(recorded.program, value_of(recorded))
    known = 0
    for length in range(1, len(recorded.history) + 1):
        decisions = replay(recorded.history[:length])
        assert decisions == recorded.decisions[: len(decisions)], f"after {length} events"
        assert len(decisions) >= known
        known = len(decisions)
    assert known == len(recorded.decisions), "the whole history leads to every decision"


@given(seed=st.integers(0, 1 << 32), data=st.data())
def test_a_run_killed_at_a_random_event_goes_on_from_its_decisions(seed: int, data: st.DataObject) -> None:
    """The rest runs with other durations; what was recorded stays, and the result is one the program can give."""
    first = execute(tree(seed), 1)
    body = [event for event in first.history if not is_final(event)]
    kept = first.history[: data.draw(st.integers(1, len(body)), label="events kept")]
    decided = replay(kept)
    second = execute(first.program, data.draw(st.integers(2, 99), label="latencies"), kept)
    assert second.history[: len(kept)] == kept
    assert second.decisions[: len(decided)] == decided
    assert fits(first.program, value_of(second))
    if len(kept) == len(body):
        assert value_of(second) == value_of(first)


def test_a_tree_without_races_gives_the_same_result_whatever_the_durations() -> None:
    results = {
        json.dumps(value_of(execute(["all", "ordered", [["step", "step", f"s{n}", n, 0] for n in range(5)]], seed)))
        for seed in range(10)
    }
    assert results == {'["s0", "s1", "s2", "s3", "s4"]'}


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_another_hash_seed_changes_no_decision(hash_seed: str, tmp_path: Path) -> None:
    """``done`` sets and ``as_completed`` go through sets of tasks: a process with another hash seed, and other
    addresses, decides
    the same."""
    expected = []
    for seed in range(TREES_PER_PROCESS):
        recorded = execute(tree(seed), seed)
        (tmp_path / f"{seed}.history").write_bytes(encode_segment(recorded.history))
        expected.append(recorded.decisions)
    command = [sys.executable, "-m", "tests.concurrency.replay_files", str(tmp_path), str(TREES_PER_PROCESS)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
