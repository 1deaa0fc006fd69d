"""When the demo kills, and how it shows what happens."""

from __future__ import annotations

import io
import re
from random import Random

import pytest
from rich.console import Console

from aeterna.cli.demo.supervise import KILLS_MAX, choose_kill_points, steps_planned
from aeterna.cli.demo.views import KindStatus, LifeStatus, LineView, LiveView, Status, picture


def test_the_job_has_at_least_a_hundred_steps():
    assert sum(steps_planned().values()) >= 100


@pytest.mark.parametrize("seed", range(50))
def test_two_kills_come_in_the_first_and_in_the_second_half(seed):
    first, second = choose_kill_points(Random(seed), 1000, 2)

    assert 150 <= first <= 450
    assert 550 <= second <= 850
    assert choose_kill_points(Random(seed), 1000, 2) == [first, second]


@pytest.mark.parametrize("kills", range(KILLS_MAX + 1))
def test_the_moments_rise_strictly_for_every_number_of_kills(kills):
    steps = sum(steps_planned().values())
    points = choose_kill_points(Random(7), steps, kills)

    assert len(points) == kills
    assert points == sorted(set(points))
    assert all(0 < point < steps for point in points)


KINDS = [KindStatus("split", 6, [3, 3]), KindStatus("index", 4, [0, 4])]


def statuses():
    first = LifeStatus(1, 101, 0, 3)
    yield Status(0.1, 0, 10, "", [LifeStatus(1, 101, 0, 0)])
    yield Status(0.5, 3, 10, "split try", [first])
    killed = LifeStatus(1, 101, 0, 3, "SIGKILL")
    yield Status(0.6, 3, 10, "split try", [killed])
    yield Status(0.9, 10, 10, "compose", [killed, LifeStatus(2, 102, 3, 7, "run completed")], KINDS)


def test_lines_tell_each_beginning_and_end_once():
    out = io.StringIO()
    view = LineView(out)
    with view:
        for status in [*statuses(), *list(statuses())[-1:]]:
            view.show(status)

    assert [line.split(" s  ")[1] for line in out.getvalue().splitlines()] == [
        "process 1 (pid 101) starts the run",
        "3 of about 10 steps recorded",
        "process 1 (pid 101) SIGKILL: 3 steps executed",
        "process 2 (pid 102) goes on: 3 steps replayed from the history",
        "10 of about 10 steps recorded",
        "process 2 (pid 102) run completed: 7 steps executed",
    ]


def test_the_table_shows_every_process_with_its_figures():
    console = Console(file=io.StringIO(), width=100, record=True)
    for status in statuses():
        console.print(picture(status))
    text = console.export_text()

    assert "running: split try" in text
    assert "SIGKILL" in text
    assert re.search(r"index\D+4 of 4\D+4 ", text)
    assert "10 of 10 steps recorded" in text


def test_on_a_terminal_the_table_is_redrawn_in_place():
    out = io.StringIO()
    with LiveView(Console(file=out, width=100, force_terminal=True)) as view:
        for status in statuses():
            view.show(status)

    assert "run completed" in out.getvalue()
    assert "\x1b[" in out.getvalue()
