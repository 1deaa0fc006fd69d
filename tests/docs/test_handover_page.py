"""The page about handovers shows the whole table, in words that are explained."""

from __future__ import annotations

import re

import pytest

from aeterna.supervisor.core.table import TABLE
from aeterna.supervisor.core.vocabulary import Action, Guard, Kind, State
from docs.handover import handover_page, meanings_of

SECTIONS = dict(re.findall(r"^### ([A-Z_]+)\n(.*?)(?=^##)", handover_page(), flags=re.MULTILINE | re.DOTALL))


def test_every_state_has_a_section() -> None:
    assert SECTIONS.keys() == {state.name for state in State}


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_a_section_tells_of_every_event_and_of_every_edge(state: State) -> None:
    """An edge is a row, unless all it does is to refuse or nothing."""
    section = SECTIONS[state.name]
    rows = re.findall(r"^\| ([A-Z_]+) \| (.*?) \| (\w+) \| (.*?) \|$", section, flags=re.MULTILINE)
    for kind in Kind:
        shown = [(to, actions.split()) for event, _, to, actions in rows if event == kind.name]
        edges = TABLE[state][kind]
        meant = [("stays" if e.to is state else e.to.name, [action.name for action in e.actions]) for e in edges]
        in_prose = re.search(rf"^(Refused|Nothing happens on): .*\b{kind.name}\b", section, flags=re.MULTILINE)
        assert shown == meant or (in_prose and not shown and len(edges) == 1)


@pytest.mark.parametrize("kind", [State, Kind, Guard, Action], ids=lambda kind: kind.__name__)
def test_every_word_has_a_meaning(kind: type[State]) -> None:
    assert list(meanings_of(kind)) == [member.name for member in kind]
