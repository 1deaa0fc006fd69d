"""Writes the generated parts of the documentation: ``python -m docs.generate`` (``make docs``).

Pages are functions from the code's own tables to text, so a test can tell whether the committed files are fresh.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import TRANSITIONS, State
from docs.configuration import configuration_page
from docs.handover import handover_page
from docs.roles import roles_page

DOCS = Path(__file__).parent
NOTE = "<!-- Generated from the code by `make docs`; do not edit. -->"


def states_page() -> str:
    """The state table of a run as a diagram and as a table."""
    return "\n".join(
        [
            NOTE,
            "",
            "# States of a run",
            "",
            "A run is the fold of its history. Each event below may arrive in the states named; any other pair is",
            "illegal and raises. Diagram and table are drawn from the table the engine itself uses",
            "(`TRANSITIONS` in `src/aeterna/durable/core/states.py`).",
            "",
            "```mermaid",
            *_diagram(),
            "```",
            "",
            *_table(),
            "",
        ]
    )


def _diagram() -> list[str]:
    arrows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (state, kind), target in TRANSITIONS.items():
        arrows["[*]" if state is None else state.value, target.value].append(kind.__name__)
    lines = ["stateDiagram-v2"]
    for (source, target), names in arrows.items():
        lines.append(f"    {source} --> {target} : {'<br/>'.join(names)}")
    lines.extend(f"    {state.value} --> [*]" for state in State if state.is_final)
    return lines


def _table() -> list[str]:
    sources: list[State | None] = [None, *[state for state in State if not state.is_final]]
    heads = ["no run yet" if source is None else source.value for source in sources]
    kinds = list(dict.fromkeys(kind for _, kind in TRANSITIONS))
    lines = [
        f"| event | {' | '.join(f'in {head}' for head in heads)} | what it says |",
        "|---" * (len(heads) + 2) + "|",
    ]
    for kind in kinds:
        cells = [_target(source, kind) for source in sources]
        lines.append(f"| {kind.__name__} | {' | '.join(cells)} | {_summary(kind)} |")
    return lines


def _target(source: State | None, kind: type[ev.Event]) -> str:
    target = TRANSITIONS.get((source, kind))
    if target is None:
        return "illegal"
    return "stays" if target is source else f"→ {target.value}"


def _summary(kind: type[ev.Event]) -> str:
    first = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    return " ".join(first.split()).replace("|", "\\|").replace("``", "`")


PAGES: dict[str, Callable[[], str]] = {
    "reference/states.md": states_page,
    "reference/configuration.md": configuration_page,
    "reference/handover.md": handover_page,
    "reference/roles.md": lambda: roles_page(NOTE),
}
"""Each generated page, by its path inside docs/."""


def main() -> None:
    """Write every page anew."""
    for name, page in PAGES.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(), encoding="utf-8")
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
