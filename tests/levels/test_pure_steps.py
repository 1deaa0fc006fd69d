"""Pure steps are run ahead of, and nothing reaches the outside before their results are committed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aeterna.testing.crash import Counted
from aeterna.testing.faults import Moment
from tests.crash.checker import check_acknowledged, check_committed_is_kept, check_finished, completed
from tests.crash.execution_log import END, START, ExecutionLog
from tests.crash.job import Job
from tests.crash.lives import Nursery, Story, for_all, nursery

Case = tuple[int, Moment]


@pytest.mark.parametrize("split", [False, True], ids=["commits as they come", "one event per commit"])
def test_a_step_that_is_not_pure_starts_only_after_all_pure_results_before_it_are_committed(tmp_path, split):
    """Output commit: killed before and after every write, the store holds every pure result that an executed charge
    rests on. In between the run is ahead of the store, which is what pure steps are for. The next life gives the same
    result."""
    job = Job(str(tmp_path), "bills", split=split, kill_counted=Counted.WRITES.value)
    (tmp_path / "reference").mkdir()
    with nursery() as alone:
        reference = Story(alone, replace(job, directory=str(tmp_path / "reference")))
        assert reference.live().returncode == 0
    _, writes = reference.counted()
    ahead: list[int] = []

    def tell(chosen: Nursery, case: Case) -> None:
        story = killed(chosen, job, case)
        ahead.append(len(uncommitted(story)))
        assert story.result("bills") == reference.result("bills")

    for_all([(number, moment) for number in range(1, writes + 1) for moment in Moment], tell)
    assert max(ahead) >= 2, "no run was ahead of the store by more than the step in flight"


def killed(chosen: Nursery, job: Job, case: Case) -> Story:
    """Two lives, the first one killed; the rules hold for both."""
    number, moment = case
    directory = job.store.parent / f"{number}-{moment.value}"
    directory.mkdir()
    story = Story(chosen, replace(job, directory=str(directory), kill_moment=moment.value))
    story.live_to_the_kill(number)
    check_output_commit(story)
    assert story.live().returncode == 0
    check_committed_is_kept(story.lives)
    check_acknowledged(story.lives)
    check_finished(story.lives[-1].left)
    return story


def check_output_commit(story: Story) -> None:
    """For every charge that has begun, all pure results before it in the program's order are in the store."""
    kept = {step for _, step in completed(story.lives[-1].left)}
    for line in ExecutionLog(story.job.log).lines():
        if line.kind == START and line.step.startswith("charge"):
            bill = int(line.step.removeprefix("charge-"))
            needed = {f"pure-{n}-{branch}" for n in range(bill + 1) for branch in (0, 1, 2, 3, "a", "b")}
            assert needed <= kept, f"{line.step} began, and {sorted(needed - kept)} was not committed"


def uncommitted(story: Story) -> set[str]:
    """The pure steps that had ended in the first life without being in the store after it."""
    first = story.lives[0]
    ended = {line.step for line in ExecutionLog(story.job.log).lines() if line.kind == END and line.pid == first.pid}
    return {step for step in ended if step.startswith("pure")} - {step for _, step in completed(first.left)}
