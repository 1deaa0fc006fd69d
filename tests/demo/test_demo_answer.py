"""The demo's answers: quotes that stand where they are said to stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aeterna.cli.demo.answer import choose_citations, compose, prose_of, split_sentences, stem, verify_citation
from aeterna.cli.demo.command import QUESTION
from aeterna.cli.demo.corpus import Passage, split_topic, topic_names, topic_text
from aeterna.cli.demo.index import Hit, PassageIndex, Term, terms_of


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The whole language reference of this Python, indexed."""
    index = PassageIndex(tmp_path_factory.mktemp("index") / "passages.db")
    index.create()
    for topic in topic_names():
        index.put_topic(topic, split_topic(topic, topic_text(topic)))
    return index


def ask(index, question):
    terms = index.weigh(terms_of(question))
    return choose_citations(terms, index.search([term.text for term in terms], 12))


def test_the_default_question_is_answered_from_the_section_on_finally(reference):
    citations = ask(reference, QUESTION)
    answer = compose(QUESTION, citations)

    assert 2 <= len(citations) <= 3
    assert citations[0].topic == "try"
    assert "will always be the last one executed" in answer.text
    assert answer.text.count("[1]") == 1
    assert [citation.mark for citation in answer.citations] == list(range(1, len(citations) + 1))


@pytest.mark.parametrize(
    "question",
    [
        QUESTION,
        "How does the with statement handle an exception in its suite?",
        "When are default parameter values evaluated?",
        "When is an object destroyed?",
        "Is the finally clause executed when an exception is not handled?",
    ],
)
def test_every_citation_stands_word_for_word_in_the_passage_it_names(reference, question):
    citations = ask(reference, question)

    assert citations
    assert all(verify_citation(c, reference.passage(c.topic, c.passage)) for c in citations)
    assert citations == ask(reference, question)


def test_a_quote_that_is_not_in_its_passage_is_found_out(reference):
    citation = ask(reference, QUESTION)[0]
    passage = reference.passage(citation.topic, citation.passage)

    assert not verify_citation(replace(citation, quote=citation.quote.replace("always", "never")), passage)
    assert not verify_citation(citation, None)


def test_a_question_nothing_answers_gets_an_honest_answer(reference):
    assert ask(reference, "zebra?") == []
    assert "does not answer" in compose("zebra?", []).text


def test_code_grammar_and_version_notes_are_no_prose():
    text = (
        "A lamp burns\n*oil* until it is put out.  [1]\n\n"
        '   lamp ::= "lamp" expression.\n\n'
        "   >>> lamp.burn()\n\n"
        "Changed in version 3.8: Lamps are\nbrighter. Much.\n\n"
        "1. Oil is poured in. It is lit:"
    )

    assert prose_of(text) == ["A lamp burns oil until it is put out.", "Oil is poured in. It is lit."]


def test_sentences_end_at_full_stops_before_capitals():
    assert split_sentences('The lamp of the house burns "oil". The wick of the lamp, e.g. of cotton, glows.') == [
        'The lamp of the house burns "oil".',
        "The wick of the lamp, e.g. of cotton, glows.",
    ]


@pytest.mark.parametrize(("one", "other"), [("raises", "raised"), ("exception", "exceptions"), ("handling", "handled")])
def test_forms_of_a_word_share_their_stem(one, other):
    assert stem(one) == stem(other)


def test_an_excerpt_that_repeats_another_is_left_out():
    text = "The lamp of the house burns oil until somebody puts it out again."
    hits = [Hit(Passage("a", 1, "H", text), 2.0, ""), Hit(Passage("b", 1, "H", text.replace("again", "soon")), 1.9, "")]

    assert [c.topic for c in choose_citations([Term("lamp")], hits)] == ["a"]
