"""An answer in the reference's own words, each part with its source: sentences are chosen, not written.

How a sentence is chosen, in full:

1. A passage's prose is cut into sentences; code, grammar and tables are no prose.
2. A run of one to three neighbouring sentences of one paragraph is an *excerpt*. Its relevance is the share of
   the question's terms that it names, each term weighted by its rarity (inverse document frequency).
3. Excerpts that begin in the middle of a thought (``It``, ``This``, ``Otherwise``) count less, and so do very
   long ones and those from passages that the full-text search ranked lower.
4. Excerpts are taken greedily: best first, at most one per passage, none that repeats what is already there.

The same hits always give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aeterna.cli.demo.corpus import Passage, paragraphs_of
from aeterna.cli.demo.index import Hit, Term

EXCERPTS_MAX = 3
SENTENCES_PER_EXCERPT_MAX = 3
WORDS_COMFORTABLE = 75
RELEVANCE_LEAST = 0.5

_SENTENCE_END = re.compile(r"(?<=[a-z0-9)\"\u201d\u2019\]]\.)\s+(?=[A-Z\"\u201c*(])")
_SENTENCE = re.compile(r"[A-Z\"\u201c*].{30,}[.]\"?$")
_NO_PROSE = re.compile(
    r"::=|>>>|^\s*\.\.\. |^\s*\||-\[|\*\*PEP|\+[-=]{3,}|  # |^\s*(Changed|New|Added|Deprecated) (in|since)",
    re.MULTILINE,
)
_DANGLING = re.compile(
    r"(It|This|These|They|Otherwise|Then|That|However|But|Such|Both|Here|See|Note|For example|Also|Thus)\b"
)
_FOOTNOTE = re.compile(r"\s*\[\d+\]")
_LABEL = re.compile(r"^(\d+\.|\*|Note:)\s+")
_HYPHENATED = re.compile(r"(?<=\w)- (?=\w)")
_EMPHASIS = re.compile(r"(?<![\w*\"])\*{1,2}([A-Za-z][^*\n\"]*?)\*{1,2}(?![\w*\"])")
_COLON_AT_END = re.compile(r"(?<!follows)(?<!example)(?<!to)(?<!code):$")
_WORD = re.compile(r"[a-z_][a-z_0-9]*")
_SUFFIXES = ("ations", "ation", "ings", "ing", "ions", "ion", "ers", "ies", "ed", "es", "er", "s", "e", "y")


@dataclass(frozen=True, slots=True)
class Citation:
    """Where an excerpt stands; ``mark`` is its number in the answer, ``quote`` the excerpt as given there."""

    mark: int
    topic: str
    passage: int
    heading: str
    quote: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer as prose with marks like ``[1]``, and what the marks stand for."""

    question: str
    text: str
    citations: list[Citation]


@dataclass(frozen=True, slots=True)
class _Excerpt:
    passage: Passage
    sentences: tuple[str, ...]
    relevance: float

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


def choose_citations(terms: Sequence[Term], hits: Sequence[Hit], excerpts_max: int = EXCERPTS_MAX) -> list[Citation]:
    """The best excerpts of ``hits`` for ``terms``, numbered in reading order; empty when nothing is relevant."""
    candidates = sorted(
        (excerpt for hit in hits for excerpt in _excerpts(hit, terms, hits[0].score)),
        key=lambda e: (-e.relevance, e.passage.topic, e.passage.number, e.text),
    )
    chosen: list[_Excerpt] = []
    for candidate in candidates:
        if len(chosen) == excerpts_max or candidate.relevance < RELEVANCE_LEAST * candidates[0].relevance:
            break
        if not any(_overlap(candidate, earlier) for earlier in chosen):
            chosen.append(candidate)
    return [
        Citation(mark, e.passage.topic, e.passage.number, e.passage.heading, e.text)
        for mark, e in enumerate(chosen, start=1)
    ]


def verify_citation(citation: Citation, passage: Passage | None) -> bool:
    """True if the quote really stands in the passage it names, word for word (line breaks aside)."""
    return passage is not None and all(
        sentence in " ".join(prose_of(passage.text)) for sentence in split_sentences(citation.quote)
    )


def compose(question: str, citations: Sequence[Citation]) -> Answer:
    """Join verified excerpts to one text, each followed by its mark."""
    if not citations:
        return Answer(question, "The language reference of this Python does not answer that in its own words.", [])
    return Answer(question, "\n\n".join(f"{c.quote} [{c.mark}]" for c in citations), list(citations))


def prose_of(text: str) -> list[str]:
    """The paragraphs of ``text`` that are prose, each as one line without footnote marks and list labels."""
    lines = [" ".join(block.split()) for block in paragraphs_of(text) if not _NO_PROSE.search(block)]
    cleaned = [_LABEL.sub("", _FOOTNOTE.sub("", _EMPHASIS.sub(r"\1", _HYPHENATED.sub("-", line)))) for line in lines]
    return [_COLON_AT_END.sub(".", line) for line in cleaned if "." in line]


def split_sentences(paragraph: str) -> list[str]:
    """The whole sentences of a paragraph; what does not look like one (ends with a colon, say) is left out."""
    return [part for part in _SENTENCE_END.split(paragraph) if _SENTENCE.match(part)]


def stem(word: str) -> str:
    """A word without its ending, so that ``raises`` and ``raised`` meet; rough, like a Porter stemmer's first steps."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word.removesuffix(suffix)
    return word


def _excerpts(hit: Hit, terms: Sequence[Term], best_score: float) -> Iterator[_Excerpt]:
    rank_weight = 0.5 + 0.5 * hit.score / best_score if best_score > 0 else 1.0
    for paragraph in prose_of(hit.passage.text):
        parts = _SENTENCE_END.split(paragraph)
        for start in range(len(parts)):
            for end in range(start + 1, min(start + SENTENCES_PER_EXCERPT_MAX, len(parts)) + 1):
                window = tuple(parts[start:end])
                if all(_SENTENCE.match(sentence) for sentence in window):
                    yield _Excerpt(hit.passage, window, rank_weight * _relevance(window, hit.passage.heading, terms))


def _relevance(sentences: tuple[str, ...], heading: str, terms: Sequence[Term]) -> float:
    body, context = _stems(sentences), _stems([heading])
    named = sum(t.weight * _naming(t.text, body, context) for t in terms) / sum(t.weight for t in terms)
    words = sum(len(sentence.split()) for sentence in sentences)
    length = min(1.0, words / 12) * min(1.0, WORDS_COMFORTABLE / words)
    opening = 0.6 if _DANGLING.match(sentences[0]) else 1.0
    together = 1 + 0.15 * (len(sentences) - 1)
    return named * length * opening * together


def _naming(term: str, body: str, context: str) -> float:
    needle = f" {_stems([term]).strip()} "
    if needle in body:
        return 1.0
    if all(f" {word} " in body for word in needle.split()):
        return 0.8
    return 0.5 if needle in context else 0.0


def _stems(texts: Iterable[str]) -> str:
    return " " + " ".join(stem(word) for text in texts for word in _WORD.findall(text.lower())) + " "


def _overlap(one: _Excerpt, other: _Excerpt) -> bool:
    same_passage = (one.passage.topic, one.passage.number) == (other.passage.topic, other.passage.number)
    words, others = set(_WORD.findall(one.text.lower())), set(_WORD.findall(other.text.lower()))
    return same_passage or len(words & others) > 0.6 * min(len(words), len(others))
