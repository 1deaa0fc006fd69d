"""The full-text index of the demo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from aeterna.cli.demo.corpus import Passage
from aeterna.cli.demo.index import PassageIndex, match_expression, terms_of


@pytest.fixture
def index(tmp_path):
    index = PassageIndex(tmp_path / "passages.db")
    index.create()
    return index


def passage(topic, number, text, heading="Heading"):
    return Passage(topic, number, heading, text)


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("What does a return statement do in a finally clause?", ["return statement", "finally clause"]),
        ("How does the with statement handle exceptions?", ["with statement", "exceptions"]),
        ("Why, oh why?", ["oh"]),
        ("What is it?", []),
        ('Lamps "AND" NOT* (oil)', ["lamps", "oil"]),
    ],
)
def test_a_question_becomes_the_words_and_phrases_that_carry_meaning(question, terms):
    assert terms_of(question) == terms


def test_putting_a_topic_twice_leaves_its_passages_once(index):
    index.put_topic("lamp", [passage("lamp", 1, "oil burns"), passage("lamp", 2, "wick glows")])
    index.put_topic("lamp", [passage("lamp", 1, "oil burns")])

    assert index.count() == 1
    assert index.passage("lamp", 1) == passage("lamp", 1, "oil burns")
    assert index.passage("lamp", 2) is None


def test_the_best_match_comes_first_and_words_meet_by_their_stem(index):
    index.put_topic(
        "lamp", [passage("lamp", n, text) for n, text in enumerate(["a wick", "burning oil, oil", "oil"], 1)]
    )

    hits = index.search(["burned", "oil"], limit=5)

    assert [hit.passage.number for hit in hits] == [2, 3]
    assert hits[0].score > hits[1].score
    assert "[burning]" in hits[0].snippet


def test_of_equal_passages_only_the_one_nearest_to_its_topics_start_is_found(index):
    index.put_topic("all", [passage("all", 7, "oil burns")])
    index.put_topic("lamp", [passage("lamp", 2, "oil burns")])

    assert [hit.passage.topic for hit in index.search(["oil"], limit=5)] == ["lamp"]


def test_rare_terms_weigh_more_and_unknown_ones_are_left_out(index):
    index.put_topic("lamp", [passage("lamp", 1, "oil"), passage("lamp", 2, "oil and wick")])

    oil, wick = index.weigh(["oil", "wick", "diesel"])

    assert (oil.text, wick.text) == ("oil", "wick")
    assert wick.weight > oil.weight


def test_nothing_asked_finds_nothing(index):
    assert index.search([], limit=5) == []
    assert match_expression(["with statement", "oil"]) == '"with statement" OR "oil"'


def test_several_threads_write_at_once_without_loss(index):
    """Steps of several lanes index at the same time; each topic's passages are all there afterwards."""

    def put(number):
        return index.put_topic(f"t{number}", [passage(f"t{number}", n, "oil") for n in (1, 2, 3)])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(put, range(20))) == [3] * 20
    assert index.count() == 60
