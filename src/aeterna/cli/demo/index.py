"""A full-text index of the passages: one SQLite file with an FTS5 table, apart from Aeterna's own store.

It stands for "the outside world" of the demo: a side effect that steps perform. `put_topic` replaces a topic's
rows in one transaction, so performing it again after a kill leaves the same index.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from aeterna.cli.demo.corpus import Passage

BUSY_TIMEOUT_MS = 10_000

_SCHEMA = """
CREATE VIRTUAL TABLE IF NOT EXISTS passages
USING fts5(topic UNINDEXED, number UNINDEXED, heading, body, tokenize = 'porter unicode61')
"""
_INSERT = "INSERT INTO passages (topic, number, heading, body) VALUES (?, ?, ?, ?)"
_SEARCH = """
SELECT topic, number, heading, body, -bm25(passages, 0, 0, 2.0, 1.0),
       snippet(passages, 3, '[', ']', ' ... ', 16)
FROM passages WHERE passages MATCH ? ORDER BY rank, number, topic
"""
_STOP_WORDS = frozenset(
    """
    a about after all also an and any are as at be been before being but by can could did do does doing
    during each for from get give gives had handle happen happens has have having he how i if in into is it
    its just me mean means more most my no not of on once one only or other our out over own python same she
    should so some such take than that the their them then there these they this those through to under
    until up use used uses using very was we were what when where which while who whom why will with work
    works would you your
    """.split()
)
_CONSTRUCTS = frozenset(
    {"statement", "statements", "clause", "clauses", "expression", "expressions", "keyword", "operator"}
)
_WORD = re.compile(r"[a-z_][a-z_0-9]+")


@dataclass(frozen=True, slots=True)
class Term:
    """One thing a question asks for: a word, or a phrase such as ``with statement``."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that matches, with its BM25 score (higher is better) and the part that matches best."""

    passage: Passage
    score: float
    snippet: str


def terms_of(question: str) -> list[str]:
    """What to look for: the words of ``question`` that carry meaning, and phrases like ``with statement`` as a whole.

    A stop word that names a construct of the language (``the with statement``) is kept, inside its phrase only.
    """
    words = _WORD.findall(question.lower())
    terms: list[str] = []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if following in _CONSTRUCTS:
            terms.append(f"{word} {following}")
        elif word not in _STOP_WORDS and word not in _CONSTRUCTS:
            terms.append(word)
    return list(dict.fromkeys(terms))


def match_expression(terms: Sequence[str]) -> str:
    """The FTS5 query that finds passages with any of ``terms``."""
    return " OR ".join(f'"{term}"' for term in terms)


class PassageIndex:
    """The index in one file. Every method opens its own connection, so steps on several threads may use it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Create the file and its table where they do not exist yet."""
        with self._connected() as connection:
            connection.pragma("journal_mode", "wal")
            connection.execute(_SCHEMA)

    def put_topic(self, topic: str, passages: Sequence[Passage]) -> int:
        """Make ``passages`` the only rows of ``topic``; return how many they are. Doing it twice changes nothing."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.execute("DELETE FROM passages WHERE topic = ?", (topic,))
                connection.executemany(_INSERT, [(p.topic, p.number, p.heading, p.text) for p in passages])
            connection.execute("COMMIT")
        return len(passages)

    def count(self) -> int:
        """How many passages the index holds."""
        with self._connected() as connection:
            return _number(connection, "SELECT count(*) FROM passages", ())

    def weigh(self, terms: Sequence[str]) -> list[Term]:
        """Give each term its inverse document frequency as weight: rare ones say more. Unknown ones are left out."""
        total = self.count()
        weighed: list[Term] = []
        with self._connected() as connection:
            for term in terms:
                found = _number(
                    connection, "SELECT count(*) FROM passages WHERE passages MATCH ?", (match_expression([term]),)
                )
                if found:
                    weighed.append(Term(term, round(math.log(1 + total / found), 4)))
        return weighed

    def search(self, terms: Sequence[str], limit: int) -> list[Hit]:
        """The ``limit`` passages that match ``terms`` best, best first; ties go by number and topic.

        Some topics repeat the text of others; of equal passages only the one nearest to its topic's start is given.
        """
        if not terms:
            return []
        with self._connected() as connection:
            rows = connection.execute(_SEARCH, (match_expression(terms),)).fetchall()
        distinct: dict[str, Hit] = {}
        for topic, number, heading, body, score, snippet in rows:
            passage = Passage(str(topic), int(str(number)), str(heading), str(body))
            distinct.setdefault(passage.text, Hit(passage, round(float(str(score)), 4), str(snippet)))
        return list(distinct.values())[:limit]

    def passage(self, topic: str, number: int) -> Passage | None:
        """One passage as it is in the index, or None."""
        with self._connected() as connection:
            row = connection.execute(
                "SELECT heading, body FROM passages WHERE topic = ? AND number = ?", (topic, number)
            ).fetchone()
        return None if row is None else Passage(topic, number, str(row[0]), str(row[1]))

    @contextmanager
    def _connected(self) -> Iterator[apsw.Connection]:
        connection = apsw.Connection(str(self._path))
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            yield connection
        finally:
            connection.close()


def _number(connection: apsw.Connection, sql: str, bindings: tuple[str, ...]) -> int:
    row = connection.execute(sql, bindings).fetchone()
    return int(str(row[0])) if row else 0
