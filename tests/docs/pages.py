"""What the documentation holds: pages, fenced blocks, programs with the output they claim, headings and links.

A fenced ``python`` block is a complete program. A comment in the line before a block says more: ``<!-- continue -->``
appends it to the program before it, ``<!-- pytest -->`` makes it a test file, and ``<!-- output -->`` before a ``text``
block says that the program above prints exactly that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.tidy.source import ROOT, repository_files

_FENCE = re.compile(r"^```(\w*)\s*$")
_COMMENT = re.compile(r"^<!-- (\w+) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the line of its opening fence (from 1), its language, the comment before it, and its text."""

    line: int
    language: str
    comment: str
    text: str


@dataclass(slots=True)
class Program:
    """What one subprocess runs, and what it must print (None = anything)."""

    place: str
    text: str
    is_test: bool
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file; ``path`` is relative to the repository."""

    path: str
    text: str
    blocks: tuple[Block, ...] = field(repr=False)

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^#+ (.+)$", self.prose, flags=re.MULTILINE)

    @property
    def anchors(self) -> set[str]:
        """The names by which links reach the headings, as GitHub makes them."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    @property
    def links(self) -> list[str]:
        """The targets of links that lead to no other site."""
        return [target for target in re.findall(r"\]\(([^)\s]+)\)", self.prose) if "://" not in target]


@cache
def pages() -> tuple[Page, ...]:
    """The pages that people read: those of the root and of docs."""
    paths = [
        path for path in repository_files() if path.endswith(".md") and (path.startswith("docs/") or "/" not in path)
    ]
    return tuple(read_page(path) for path in paths)


@cache
def read_page(path: str) -> Page:
    text = (ROOT / path).read_text(encoding="utf-8")
    return Page(path, text, tuple(_blocks(text.splitlines())))


def _blocks(lines: list[str]) -> list[Block]:
    found: list[Block] = []
    start: int | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if start is None:
            start = number
            continue
        opening = _FENCE.match(lines[start])
        comment = _COMMENT.match(lines[start - 1]) if start else None
        body = "".join(f"{line}\n" for line in lines[start + 1 : number])
        found.append(Block(start + 1, opening[1] if opening else "", comment[1] if comment else "", body))
        start = None
    assert start is None, f"a fence is never closed: line {start}"
    return found


@cache
def programs() -> tuple[Program, ...]:
    """Every program of the pages, in order; a continued one is a program more."""
    return tuple(program for page in pages() for program in _programs_of(page))


def _programs_of(page: Page) -> list[Program]:
    found: list[Program] = []
    for block in page.blocks:
        match block.language, block.comment:
            case "python", "continue":
                found.append(Program(f"{page.path}:{block.line}", found[-1].text + "\n" + block.text, is_test=False))
            case "python", comment:
                found.append(Program(f"{page.path}:{block.line}", block.text, is_test=comment == "pytest"))
            case "text", "output":
                found[-1].output = block.text
            case _:
                pass
    return found


def commands() -> list[tuple[str, str]]:
    """``(place, command line)`` of every ``aeterna`` command in a ``sh`` block."""
    return [
        (f"{page.path}:{block.line}", line[line.index("aeterna ") :])
        for page in pages()
        for block in page.blocks
        if block.language == "sh"
        for line in block.text.splitlines()
        if re.match(r"(\S*/)?aeterna ", line)
    ]


def table(page: Page, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    below = page.text.split(f"# {heading}\n", 1)[1]
    rows = re.search(r"((?:^\|.*\n)+)", below, flags=re.MULTILINE)
    assert rows is not None, f"{page.path} has no table below {heading!r}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()[2:]]


def is_there(path: Path) -> bool:
    """The path is a file that is, or is about to be, committed, or a folder with one."""
    name = path.relative_to(ROOT).as_posix()
    return any(known == name or known.startswith(f"{name}/") for known in repository_files())
