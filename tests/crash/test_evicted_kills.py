"""The process dies at every boundary while runs leave memory and come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aeterna.durable.core import events as ev
from aeterna.testing.crash import Counted
from aeterna.testing.faults import Moment
from tests.crash.job import Job
from tests.crash.lives import Nursery, Story, for_all, nursery

RUNS = 5


@pytest.mark.parametrize("split", [False, True], ids=["commits as they come", "one event per commit"])
def test_runs_that_leave_memory_survive_a_kill_at_any_boundary(tmp_path, split):
    """Five runs sleep where one may stay, and the process is killed before and after every write: each finishes with
    its result, a finished step does not run again, and none sleeps on."""
    job = Job(str(tmp_path), "naps", split=split, runs=RUNS, residents=1, kill_counted=Counted.WRITES.value)

    def begin(chosen: Nursery, name: str, moment: Moment = Moment.AFTER) -> Story:
        (tmp_path / name).mkdir()
        return Story(chosen, replace(job, directory=str(tmp_path / name), kill_moment=moment.value))

    with nursery() as alone:
        reference = begin(alone, "reference")
        assert reference.live().returncode == 0
    reference.check()
    _, writes = reference.counted()

    returns: list[int] = []

    def tell(chosen: Nursery, case: tuple[int, Moment]) -> None:
        number, moment = case
        story = begin(chosen, f"{number}-{moment.value}", moment)
        story.told_through_a_kill(number)
        assert [story.result(f"nap-{n}") for n in range(RUNS)] == ["4"] * RUNS
        returns.append(comings(story) - RUNS * len(story.lives))

    for_all([(number, moment) for number in range(1, writes + 1) for moment in Moment], tell)
    assert max(returns) > 0, "no run ever left memory and came back"


def comings(story: Story) -> int:
    """How often a run came into memory, in all lives together."""
    histories = story.lives[-1].left.histories.values()
    return sum(isinstance(event, ev.RunStarted) for history in histories for event in history)
