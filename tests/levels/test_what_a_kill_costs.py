"""What a ``kill -9`` costs on each level of durability, measured by what executes again."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from aeterna import Level
from aeterna.testing.crash import Counted
from aeterna.testing.faults import Moment
from tests.crash.checker import (
    check_acknowledged,
    check_committed_is_kept,
    check_finished,
    check_lives,
    completed,
    executed_again,
)
from tests.crash.execution_log import START, ExecutionLog
from tests.crash.job import Job
from tests.crash.lives import Story, for_all, nursery

LENGTH = 40
NEVER = 1_000_000
SEED = 4


@pytest.fixture(scope="module")
def born():
    with nursery() as alone:
        yield alone


def told_twice(born, job: Job, **first_life: object) -> Story:
    """A life that is killed, and one that ends by itself with the right result."""
    story = Story(born, job)
    assert story.live(**first_life).returncode == -signal.SIGKILL
    assert story.live(scenario="chain").returncode == 0
    assert story.result("chain") == str(2 * job.length)
    return story


def again(story: Story) -> set[str]:
    """The steps that executed in both lives."""
    return {step for _, step in executed_again(ExecutionLog(story.job.log).lines())}


def links(first: int, last: int) -> set[str]:
    return {f"link-{number}" for number in range(first, last + 1)}


def by_steps(directory: Path, interval: int = 10) -> Job:
    return Job(
        str(directory),
        "chain",
        length=LENGTH,
        level=Level.SNAPSHOT.value,
        snapshot_steps=interval,
        snapshot_ms=NEVER,
    )


def test_memory_loses_everything(born, tmp_path):
    """L0: nothing is written anywhere, and the next process begins anew."""
    job = Job(str(tmp_path), "chain", length=LENGTH, level=Level.MEMORY.value)
    story = Story(born, job)
    assert story.live(die_in="link-30").returncode == -signal.SIGKILL
    assert {path.name for path in tmp_path.iterdir()} == {"executions", "output-1"}
    assert story.live().returncode == 0
    assert again(story) == links(1, 30)


@pytest.mark.parametrize("last", [1, 9, 10, 11, 12, 20, 25, 39, 40])
def test_snapshots_by_steps_lose_at_most_the_interval(born, tmp_path, last):
    """L1, every ten steps: at most the ten before the one in flight execute again, and none that was committed."""
    story = told_twice(born, by_steps(tmp_path), die_in=f"link-{last}")
    first = story.lives[0].left
    check_committed_is_kept(story.lives)
    check_finished(story.lives[-1].left)
    assert again(story) == links(1, last) - {step for _, step in completed(first)}
    assert again(story) <= links(last - 10, last)


def test_snapshots_by_time_lose_at_most_the_interval(born, tmp_path):
    """L1, every 30 ms: with steps of 5 ms at least, at most the six of one interval, the one that ended beside the
    snapshot's alarm, and the one in flight execute again."""
    job = Job(
        str(tmp_path),
        "slow_chain",
        length=LENGTH,
        step_s=0.005,
        level=Level.SNAPSHOT.value,
        snapshot_steps=NEVER,
        snapshot_ms=30,
    )
    story = Story(born, job)
    assert story.live(die_in="row-20-1").returncode == -signal.SIGKILL
    assert story.live().returncode == 0
    check_committed_is_kept(story.lives)
    check_finished(story.lives[-1].left)
    assert completed(story.lives[0].left), "no snapshot was taken in 200 ms"
    assert len(again(story)) <= 30 // 5 + 2


def test_before_a_wait_everything_is_kept(born, tmp_path):
    """L1: killed in its sleep, a run repeats no step, however far the next snapshot was."""
    job = by_steps(tmp_path, NEVER)
    story = told_twice(born, job, scenario="chain_asleep", nap_s=0.3)
    assert again(story) == set()
    check_lives(story.lives, ExecutionLog(job.log).lines())


def test_at_its_end_everything_is_kept(born, tmp_path):
    """L1: a result that was told is there after the kill, and nothing executes for it again."""
    job = by_steps(tmp_path, NEVER)
    story = told_twice(born, job, scenario="chain_told")
    assert again(story) == set()
    check_lives(story.lives, ExecutionLog(job.log).lines())


@pytest.mark.parametrize("last", [1, 2, 25, 40])
def test_the_log_loses_nothing_acknowledged(born, tmp_path, last):
    """L2: only the step in flight executes again."""
    job = Job(str(tmp_path), "chain", length=LENGTH)
    story = told_twice(born, job, die_in=f"link-{last}")
    assert again(story) == {f"link-{last}"}
    check_lives(story.lives, ExecutionLog(job.log).lines())


def test_with_snapshots_a_kill_at_any_boundary_gives_the_same_result(tmp_path):
    """L1: the crash matrix. What was committed or told is kept; what was not executes again, to the same end."""
    levels = {"level": Level.SNAPSHOT.value, "snapshot_steps": 5, "kill_counted": Counted.WRITES.value}
    (tmp_path / "reference").mkdir()
    with nursery() as alone:
        reference = Story(alone, Job(str(tmp_path / "reference"), "journey", **levels))
        assert reference.live().returncode == 0
    _, writes = reference.counted()
    cases = [(number, moment) for number in range(1, writes + 1) for moment in Moment]

    def tell(chosen, case) -> None:
        number, moment = case
        directory = tmp_path / f"{number}-{moment.value}"
        directory.mkdir()
        story = Story(chosen, Job(str(directory), "journey", kill_moment=moment.value, **levels))
        story.live_to_the_kill(number)
        assert story.live().returncode == 0
        check_committed_is_kept(story.lives)
        check_acknowledged(story.lives)
        check_finished(story.lives[-1].left)
        assert story.lasting("journey") == reference.lasting("journey")
        lines = ExecutionLog(story.job.log).lines()
        assert not executed_again(lines) & completed(story.lives[0].left)

    for_all(random.Random(SEED).sample(cases, len(cases)), tell)
    assert ExecutionLog(reference.job.log).count(START, "first") == 1
