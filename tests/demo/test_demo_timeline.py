"""The demo's picture."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from aeterna.cli.demo.execution_log import Execution
from aeterna.cli.demo.proof import Recorded
from aeterna.cli.demo.timeline import COLOURS, CUT, KILL, LifeSpan, Story, assign_rows, colour_of, render

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def story(**changes):
    lives = [
        LifeSpan(1, 101, START, START + 3 * SECOND, killed_by="SIGKILL", replayed=0, executed=1),
        LifeSpan(2, 102, START + 3 * SECOND, START + 6 * SECOND, killed_by="", replayed=1, executed=2),
    ]
    executions = [
        Execution("a <first>", 1, START + SECOND, START + 2 * SECOND),
        Execution("b", 1, START + SECOND, None),
        Execution("b", 2, START + 4 * SECOND, START + 5 * SECOND),
        Execution("c", 2, START + 5 * SECOND, START + 6 * SECOND),
    ]
    recorded = [
        Recorded("a <first>", 1, START + 2 * SECOND, 1),
        Recorded("b", 2, START + 5 * SECOND, 1),
        Recorded("c", 2, START + 6 * SECOND, 1),
    ]
    parts = {"lives": lives, "executions": executions, "recorded": recorded, "sleeps": [(START, START + SECOND)]}
    return Story("One job & two processes", "all <well>", **{**parts, **changes})


def texts(svg):
    root = ET.fromstring(svg)
    return [element.text for element in root.iter() if element.text and element.text.strip()]


def test_the_picture_is_valid_xml_and_names_everything():
    found = texts(render(story()))

    assert {"One job & two processes", "all <well>", "process 1", "process 2", "cut off by the kill"} <= set(found)
    assert "replayed 1, executed 2" in found
    assert "seconds since the first process started" in found
    assert any(text.startswith("a <first>: 1000 ms in process 1, recorded") for text in found)


def test_each_kill_is_marked_and_an_end_without_kill_is_not():
    assert texts(render(story())).count("SIGKILL") == 1


def test_bars_have_the_colour_of_their_life_and_a_cut_off_one_its_own():
    svg = render(story())
    bars = re.findall(r'fill="(#\w+)"[^>]*><title>[^<]* in process', svg)

    assert bars == [colour_of(1), CUT, colour_of(2), colour_of(2)]


def test_rows_are_shared_by_executions_that_do_not_overlap_and_free_again_in_a_new_life():
    executions = [
        Execution("a", 1, 0, 10),
        Execution("b", 1, 5, None),
        Execution("c", 1, 10, 12),
        Execution("d", 2, 11, 13),
    ]

    assert assign_rows(executions, {1: 20, 2: 30}) == [0, 1, 0, 0]


def test_colours_repeat_after_the_last():
    assert colour_of(len(COLOURS) + 1) == colour_of(1)


@pytest.mark.parametrize("seconds", [1, 9, 100, 4000, 400_000])
def test_the_axis_stays_readable_for_any_length(seconds):
    life = LifeSpan(1, 101, START, START + seconds * SECOND, killed_by="", replayed=0, executed=0)
    svg = render(story(lives=[life], executions=[], recorded=[], sleeps=[]))

    ET.fromstring(svg)
    assert svg.count("<line") <= 120


def test_labels_of_many_kills_do_not_overlap_and_the_legend_stays_inside():
    """Ten kills within one second of ten: their labels lie in rows, and eleven processes need two rows of legend."""
    ends = [START + 8 * SECOND + number * SECOND // 10 for number in range(10)] + [START + 10 * SECOND]
    starts = [START, *ends[:-1]]
    lives = [
        LifeSpan(number, 4_000_000 + number, begun, ended, "SIGKILL" if number <= 10 else "", 1, 1)
        for number, (begun, ended) in enumerate(zip(starts, ends, strict=True), start=1)
    ]
    root = ET.fromstring(render(story(lives=lives, executions=[], recorded=[], sleeps=[])))
    boxes = [[float(box.get(key)) for key in ("x", "y", "width", "height")] for box in root.iter() if is_label(box)]
    assert len(boxes) == 10
    for number, (x, y, width, height) in enumerate(boxes):
        for x2, y2, _, _ in boxes[number + 1 :]:
            assert abs(x - x2) >= width or abs(y - y2) >= height
    rights = [float(text.get("x")) + 6 * len(text.text) for text in root.iter() if is_text(text, "process")]
    assert max(rights) < 1200


def is_label(element):
    return element.tag.endswith("rect") and element.get("fill") == KILL


def is_text(element, beginning):
    return element.tag.endswith("text") and (element.text or "").startswith(beginning)
