"""The shape of the documentation: lengths, links, wording, and that every page can be found."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from aeterna.durable.core.states import Detail, State
from tests.docs.pages import Page, is_there, pages, read_page, table
from tests.tidy.source import ROOT

README = read_page("README.md")
INDEX = read_page("docs/index.md")


def test_the_readme_shows_a_program_on_the_first_screen() -> None:
    """At most 120 lines, the first fence within 25 of them, a first program of at most 15 lines, at most 3 badges."""
    first = README.blocks[0]
    assert len(README.text.splitlines()) <= 120
    assert first.line <= 25
    assert first.language == "python"
    assert len(first.text.splitlines()) <= 15
    assert len(re.findall(r"!\[", README.text)) <= 3


def test_the_architecture_takes_at_most_two_pages() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 110


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.path)
def test_every_link_leads_somewhere(page: Page) -> None:
    """A link to a file or folder of the repository finds it, and one to a heading finds that."""
    broken = [link for link in page.links if not leads_somewhere(page, link)]
    assert not broken, page.path


def leads_somewhere(page: Page, link: str) -> bool:
    target, _, anchor = link.partition("#")
    path = (ROOT / page.path).parent.joinpath(target).resolve() if target else ROOT / page.path
    if not path.is_relative_to(ROOT) or not is_there(path):
        return False
    return not anchor or anchor in read_page(path.relative_to(ROOT).as_posix()).anchors


def test_the_index_names_every_page() -> None:
    named = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in INDEX.links}
    unnamed = [p.path for p in pages() if p.path.startswith("docs/") and p != INDEX and ROOT / p.path not in named]
    assert not unnamed


def test_decisions_are_numbered_without_a_hole_and_name_what_was_rejected() -> None:
    decisions = [page for page in pages() if page.path.startswith("docs/why/")]
    numbers = [int(PurePosixPath(page.path).name[:3]) for page in decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all("Rejected" in page.headings for page in decisions)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.path)
def test_nothing_is_promised_to_happen_exactly_once_but_recording(page: Page) -> None:
    """Results are recorded exactly once; steps are attempted at least once."""
    text = " ".join(page.text.split())
    bare = [match[0] for match in re.finditer(r"(\S+ ){0,3}exactly[ -]once", text, re.IGNORECASE)]
    assert all("recorded exactly once" in words for words in bare)


def test_the_readme_lists_every_state_and_detail() -> None:
    cells = " ".join(" ".join(row) for row in table(README, "States"))
    missing = [word for word in [*State, *Detail] if not re.search(rf"\b{word}\b", cells)]
    assert not missing
