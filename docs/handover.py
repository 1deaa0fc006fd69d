"""The generated part of the page about handovers: diagram, public phases, and every edge, from the core's own table."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from aeterna.supervisor.core import vocabulary
from aeterna.supervisor.core.deadlines import deadline_ms
from aeterna.supervisor.core.records import HandoverPolicy, Machine
from aeterna.supervisor.core.table import TABLE, Edge
from aeterna.supervisor.core.vocabulary import PHASES, Action, Guard, Kind, State

PAGE = Path(__file__).parent / "reference" / "handover.md"
START = "<!-- states: written by `make docs` from the table; do not edit -->"
END = "<!-- end of states -->"

_UNIT_MS = 1_000_000
"""Longer than any fixed part of a deadline, so that the parts can be told apart in the sum."""
_PARTS = {
    "start_ms": "`startup.timeout` + `startup.warmup_delay`",
    "checks_ms": "the timeouts of `pre_flight` + 5 s",
    "state_ms": "`state_handoff.timeout`",
    "blackout_ms": "`state_handoff.blackout_max`",
    "lame_duck_ms": "`drain.lame_duck`",
    "drain_ms": "`drain.timeout`",
    "stop_ms": "`stop_grace_period`",
    "step_ms": "`canary.step_time`",
    "soak_ms": "`canary.soak_time`",
}


def handover_page() -> str:
    """The page with its generated part written anew."""
    text = PAGE.read_text(encoding="utf-8")
    generated = "\n".join([*_diagram(), *_phases(), *_states(), *_words()])
    return re.sub(
        f"{re.escape(START)}.*{re.escape(END)}", lambda _: f"{START}\n\n{generated}\n{END}", text, flags=re.DOTALL
    )


# --- the diagram -----------------------------------------------------------------------------------------------------


def _diagram() -> Iterator[str]:
    """Who leads where on what. Stops lead from everywhere, and are left out."""
    arrows: dict[tuple[State, State], list[Kind]] = defaultdict(list)
    for state, kind, edge in _edges():
        if edge.to is not state and kind is not Kind.STOP and kind not in arrows[state, edge.to]:
            arrows[state, edge.to].append(kind)
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.STOPPED.name}"
    for (source, target), kinds in arrows.items():
        if kinds:
            yield f"    {source.name} --> {target.name} : {'<br/>'.join(kind.name for kind in kinds)}"
    yield f"    {State.STOPPING.name} --> {State.STOPPED.name}"
    yield "```"
    yield ""


def _edges() -> Iterator[tuple[State, Kind, Edge]]:
    for state, rows in TABLE.items():
        for kind in Kind:
            for edge in rows[kind]:
                yield state, kind, edge


# --- the tables ------------------------------------------------------------------------------------------------------


def _phases() -> Iterator[str]:
    yield "## Phases"
    yield ""
    yield "| phase | states | longest stay |"
    yield "|---|---|---|"
    by_phase: dict[str, list[State]] = defaultdict(list)
    for state in State:
        by_phase[PHASES[state]].append(state)
    for phase, states in by_phase.items():
        names = ", ".join(state.name for state in states)
        stays = "; ".join(dict.fromkeys(_deadline(state) for state in states))
        yield f"| `{phase}` | {names} | {stays} |"
    yield ""


def _states() -> Iterator[str]:
    yield "## States"
    yield ""
    meanings = meanings_of(State)
    for state in State:
        yield f"### {state.name}"
        yield ""
        yield f"{meanings[state.name]} Phase `{PHASES[state]}`; longest stay: {_deadline(state)}."
        yield ""
        yield "| on | if | to | doing |"
        yield "|---|---|---|---|"
        for kind in Kind:
            yield from _rows(state, kind)
        yield ""
        yield from _rest(state)


def _rows(state: State, kind: Kind) -> Iterator[str]:
    edges = TABLE[state][kind]
    if _is_silent(state, edges) or _is_refused(state, edges):
        return
    for edge in edges:
        guards = " and ".join(guard.name for guard in edge.guards) or ("else" if len(edges) > 1 else "")
        target = "stays" if edge.to is state else edge.to.name
        yield f"| {kind.name} | {guards} | {target} | {' '.join(action.name for action in edge.actions)} |"


def _rest(state: State) -> Iterator[str]:
    rows = TABLE[state]
    refused = ", ".join(kind.name for kind in Kind if _is_refused(state, rows[kind]))
    silent = ", ".join(kind.name for kind in Kind if _is_silent(state, rows[kind]))
    if refused:
        yield f"Refused: {refused}."
    if silent:
        yield f"Nothing happens on: {silent}."
    yield ""


def _is_silent(state: State, edges: tuple[Edge, ...]) -> bool:
    return edges == (Edge(state),)


def _is_refused(state: State, edges: tuple[Edge, ...]) -> bool:
    return edges == (Edge(state, (Action.REFUSE,)),)


def _deadline(state: State) -> str:
    """The sum of configured times that the core's own function makes of a policy whose times are powers of ten."""
    times = {name: _UNIT_MS * 10**at for at, name in enumerate(_PARTS)}
    policy = HandoverPolicy(weights=(50, 100), **times)
    if state is State.BACKOFF:
        return "the wait of the restart policy"
    if state is State.SOAK:
        return f"{_PARTS['step_ms']} at each weight, {_PARTS['soak_ms']} at the last; no bound after `aeterna canary`"
    total = deadline_ms(Machine(state), policy)
    if total is None:
        return "no bound"
    parts = [text for name, text in _PARTS.items() if total // times[name] % 10]
    fixed_ms = total % _UNIT_MS
    return " + ".join([*parts, *([f"{fixed_ms // 1000} s"] if fixed_ms else [])])


def _words() -> Iterator[str]:
    for title, kind in (("Events", Kind), ("Guards", Guard), ("Actions", Action)):
        yield f"## {title}"
        yield ""
        yield f"| {title.lower()[:-1]} | meaning |"
        yield "|---|---|"
        for name, meaning in meanings_of(kind).items():
            yield f"| {name} | {meaning} |"
        yield ""


def meanings_of(kind: type[StrEnum]) -> dict[str, str]:
    """What the docstring below each member of an enumeration of the vocabulary says."""
    module = ast.parse(inspect.getsource(vocabulary))
    [body] = [node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__]
    found: dict[str, str] = {}
    for member, below in itertools.pairwise(body):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split()).replace("``", "`")
            case _:
                pass
    return found
