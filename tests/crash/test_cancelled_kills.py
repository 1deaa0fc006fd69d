"""The process dies at every boundary around a cancellation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import State
from aeterna.testing.crash import Counted
from aeterna.testing.faults import Moment
from tests.crash.checker import check_lives
from tests.crash.execution_log import END, ExecutionLog
from tests.crash.job import Job
from tests.crash.lives import Nursery, Story, for_all, nursery


@pytest.mark.parametrize("split", [False, True], ids=["commits as they come", "one event per commit"])
def test_a_recorded_cancellation_survives_a_kill_at_any_boundary(tmp_path, split):
    """A run that sleeps and waits for a child is cancelled; the process is killed before and after every write.

    Where the request is recorded, the next process ends the run and its child as CANCELLED by itself; where it is not,
    it was not acknowledged, and can be asked again. The cleanup step completes once.
    """
    job = Job(str(tmp_path), "cancelled", split=split, nap_s=1000, kill_counted=Counted.WRITES.value)
    with nursery() as alone:
        reference = Story(alone, replace(job, directory=str(made(tmp_path / "reference"))))
        assert reference.live().returncode == 0
    _, writes = reference.counted()
    for_all(
        [(n, moment) for n in range(1, writes + 1) for moment in Moment], lambda chosen, case: tell(chosen, job, case)
    )


def made(directory):
    directory.mkdir()
    return directory


def tell(chosen: Nursery, job: Job, case: tuple[int, Moment]) -> None:
    number, moment = case
    directory = made(job.store.parent / f"{number}-{moment.value}")
    story = Story(chosen, replace(job, directory=str(directory), kill_moment=moment.value))
    story.live_to_the_kill(number)
    first = story.lives[0]
    is_asked = any(isinstance(e, ev.CancelRequested) for e in first.left.histories.get("guarded", ()))
    assert is_asked or "cancelled guarded" not in first.acknowledged
    last = story.live(scenario="resumed" if is_asked else "cancelled")
    assert last.returncode == 0, "the run did not end by itself"
    told = [
        replace(life, acknowledged=tuple(x for x in life.acknowledged if x[:6] == "result")) for life in story.lives
    ]
    check_lives(told, ExecutionLog(story.job.log).lines())
    states = {run_id: row.state for run_id, row in last.left.rows.items() if run_id.startswith("guarded")}
    assert set(states.values()) == {State.CANCELLED}
    assert ExecutionLog(story.job.log).count(END, "cleanup", "guarded") >= 1
