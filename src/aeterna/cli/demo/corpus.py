"""The text the demo works on: Python's own language reference, which every installation carries.

Pure functions over `pydoc_data.topics`. A topic (``with``, ``try``, ``yield``, ...) is split into passages on paragraph
boundaries; a passage keeps the heading it stands under, so that an answer can say where a sentence comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pydoc_data.topics import topics

PASSAGE_CHARS = 800

_PARAGRAPH_BREAK = re.compile(r"\n[ \t]*\n+")
_UNDERLINE = re.compile(r"^[*=\-~^]{3,}$")


@dataclass(frozen=True, slots=True)
class Passage:
    """One citable piece of a topic; ``number`` counts from 1 inside its topic."""

    topic: str
    number: int
    heading: str
    text: str


def topic_names() -> list[str]:
    """All topics of this Python's language reference, in alphabetical order."""
    return sorted(topics)


def topic_text(topic: str) -> str:
    """The plain text of one topic; raises `KeyError` for a topic this Python does not have."""
    return topics[topic]


def split_topic(topic: str, text: str, size_chars: int = PASSAGE_CHARS) -> list[Passage]:
    """Split ``text`` into passages of about ``size_chars`` characters, never inside a paragraph or across a heading.

    A paragraph longer than that becomes a passage of its own. Joining the passages' texts gives every paragraph of the
    topic once, in order; headings move into `Passage.heading`.
    """
    passages: list[Passage] = []
    for heading, paragraphs in _sections(topic, text):
        for body in _fill(paragraphs, size_chars):
            passages.append(Passage(topic, len(passages) + 1, heading, body))
    return passages


def paragraphs_of(text: str) -> list[str]:
    """The paragraphs of a text: what blank lines separate, without surrounding blank space."""
    return [block.strip("\n") for block in _PARAGRAPH_BREAK.split(text) if block.strip()]


def _sections(topic: str, text: str) -> Iterator[tuple[str, list[str]]]:
    heading, paragraphs = topic, list[str]()
    for block in paragraphs_of(text):
        title = _heading_of(block)
        if title is None:
            paragraphs.append(block)
            continue
        if paragraphs:
            yield heading, paragraphs
        heading, paragraphs = title, []
    if paragraphs:
        yield heading, paragraphs


def _heading_of(block: str) -> str | None:
    lines = block.splitlines()
    if len(lines) == 2 and _UNDERLINE.match(lines[1]) and lines[0].strip():
        return lines[0].strip().replace('"', "")
    return None


def _fill(paragraphs: list[str], size_chars: int) -> Iterator[str]:
    current, length = list[str](), 0
    for paragraph in paragraphs:
        if current and length + len(paragraph) > size_chars:
            yield "\n\n".join(current)
            current, length = [], 0
        current.append(paragraph)
        length += len(paragraph) + 2
    if current:
        yield "\n\n".join(current)
