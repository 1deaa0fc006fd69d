"""The worker is killed at every boundary of its history, and always finishes with the same result.

The program: a run with sequential steps, ``ctx.parallel``, ``gather``, a ``TaskGroup``, a durable sleep, a retried step
and a child, beside a short run whose result is acknowledged early.
"""

from __future__ import annotations

import json
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from aeterna.durable.core import events as ev
from aeterna.testing.crash import Counted
from aeterna.testing.faults import Moment
from tests.crash.job import Job
from tests.crash.lives import Nursery, Story, for_all, nursery

SEED = 20_260_711
DOUBLE_KILLS = 20


class Kill(NamedTuple):
    """Where the first life is killed, and where the second (0 = not); by the number of the write and its side."""

    number: int
    moment: Moment
    split: bool
    again: int = 0


@pytest.fixture(scope="module", params=[False, True], ids=["commits as they come", "one event per commit"])
def reference(request, tmp_path_factory):
    """An undisturbed life: its story, and how many writes it took."""
    with nursery() as alone:
        story = Story(alone, Job(str(tmp_path_factory.mktemp("reference")), "journey", split=request.param))
        assert story.live().returncode == 0
    story.check()
    return story


def tell(directory: Path, reference: Story, chosen: Nursery, kill: Kill) -> Story:
    """Live, be killed once or twice, live to the end; all rules hold, and the results are the reference's."""
    place = directory / f"{kill.number}-{kill.moment.value}-{kill.again}"
    place.mkdir()
    job = replace(reference.job, directory=str(place), kill_moment=kill.moment.value, kill_counted=Counted.WRITES.value)
    story = Story(chosen, job)
    story.live_to_the_kill(kill.number)
    if kill.again:
        assert story.live(kill.again).returncode in (0, -signal.SIGKILL)
    assert story.live().returncode == 0, "the life after the kill did not end by itself"
    story.check()
    assert story.result("errand") == reference.result("errand")
    assert story.lasting("journey") == reference.lasting("journey")
    assert times(story) == recorded_times(story)
    return story


def times(story: Story) -> list[str]:
    return list(json.loads(story.result("journey"))["times"][:2])


def recorded_times(story: Story) -> list[str]:
    """The results of the steps that got ``ctx.now()``, from the history, which the checker knows never changed."""
    return [
        json.loads(event.result[1:])
        for event in story.lives[-1].left.histories["journey"]
        if isinstance(event, ev.StepCompleted) and event.name in ("early", "late")
    ]


def test_a_kill_at_any_boundary_changes_nothing(reference, tmp_path):
    """SIGKILL before and after every single write, from the session's opening to its end.

    The next life finishes; no step whose completion was committed executes again; nothing acknowledged is lost or
    changes.
    """
    _, writes = reference.counted()
    assert writes > 20
    kills = [Kill(number, moment, reference.job.split) for number in range(1, writes + 1) for moment in Moment]
    for_all(kills, lambda chosen, kill: tell(tmp_path, reference, chosen, kill))


def test_a_second_kill_during_the_recovery_changes_nothing_either(reference, tmp_path):
    """The life that recovers is killed too, at a random write, and the third one finishes."""
    _, writes = reference.counted()
    choice = random.Random(SEED)
    kills = [
        Kill(choice.randint(2, writes - 2), choice.choice(list(Moment)), reference.job.split, choice.randint(1, 8))
        for _ in range(DOUBLE_KILLS // 2)
    ]
    twice = 0

    def tell_and_count(chosen: Nursery, kill: Kill) -> None:
        nonlocal twice
        story = tell(tmp_path, reference, chosen, kill)
        twice += story.lives[1].was_killed

    for_all(kills, tell_and_count)
    assert twice > DOUBLE_KILLS // 4
