"""The generated pages say what the code says now."""

from __future__ import annotations

import pytest

from aeterna.durable.core.states import TRANSITIONS
from docs.generate import DOCS, PAGES, states_page


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_fresh(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs` and commit what it writes"


def test_the_states_page_shows_every_transition() -> None:
    page = states_page()
    arrows = [line for line in page.splitlines() if "-->" in line and ":" in line]
    for (state, kind), target in TRANSITIONS.items():
        source = "[*]" if state is None else state.value
        [arrow] = [line for line in arrows if line.strip().startswith(f"{source} --> {target.value} :")]
        assert kind.__name__ in arrow.partition(":")[2].strip().split("<br/>")
        assert f"| {kind.__name__} |" in page
