"""The text of the demo: real, complete, split where its paragraphs end."""

from __future__ import annotations

import re

import pytest

from aeterna.cli.demo.corpus import paragraphs_of, split_topic, topic_names, topic_text

HEADING = re.compile(r".*\S.*\n[*=~^-]{3,}")

TEXT = """\
The "lamp" statement
********************

It lights a lamp.

   lamp_stmt ::= "lamp" expression

Lamps burn until they are put out.


"oil" clause
============

Oil is what a lamp burns.
"""


def test_this_python_carries_enough_topics_for_a_hundred_steps():
    assert len(topic_names()) >= 60
    assert topic_names() == sorted(topic_names())
    assert {"try", "with", "return"} <= set(topic_names())


def test_a_topic_is_split_at_headings_and_numbered_from_one():
    passages = split_topic("lamp", TEXT)

    assert [(p.topic, p.number, p.heading) for p in passages] == [
        ("lamp", 1, "The lamp statement"),
        ("lamp", 2, "oil clause"),
    ]
    assert passages[0].text.startswith("It lights a lamp.\n\n   lamp_stmt")
    assert passages[1].text == "Oil is what a lamp burns."


def test_a_small_size_puts_each_paragraph_into_its_own_passage():
    assert [p.number for p in split_topic("lamp", TEXT, size_chars=1)] == [1, 2, 3, 4]


@pytest.mark.parametrize("topic", topic_names())
def test_no_paragraph_of_any_topic_is_lost_or_cut(topic):
    """Headings apart, the passages hold every paragraph of the topic once and in order, close to the size asked for."""
    passages = split_topic(topic, topic_text(topic))
    kept = [paragraph for passage in passages for paragraph in paragraphs_of(passage.text)]
    blocks = [block for block in paragraphs_of(topic_text(topic)) if not HEADING.fullmatch(block)]

    assert kept == blocks
    assert all(len(passage.text) <= max(800 + 2, *map(len, kept)) for passage in passages)
