"""Puts variables into texts: ``${NAME}``, ``${NAME:-default}`` (also if empty), ``${NAME-default}``, ``${NAME:?why}``.

``$${`` stands for ``${``; every other ``$`` is left alone, because commands are full of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aeterna.config.findings import Findings
from aeterna.config.mistakes import KeyPath, UnfitError
from aeterna.config.nodes import Node
from aeterna.kernel.suggestions import did_you_mean

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEPTH_MAX = 16
EXAMPLES = "${NAME}, ${NAME:-default}, or $${ for the two characters themselves"


def interpolate(text: str, variables: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its variables put in, and their names; raises `UnfitError`."""
    names: list[str] = []
    return _replaced(text, variables, names, 0), names


def interpolate_tree(node: Node, variables: Mapping[str, str], findings: Findings, path: KeyPath = ()) -> Node:
    """The tree with the variables put into every text; what cannot be is a mistake, and stays as it was."""
    if isinstance(node.value, dict):
        entries = node.value.items()
        value = {key: interpolate_tree(child, variables, findings, (*path, key)) for key, child in entries}
        return Node(value, node.place)
    if isinstance(node.value, list):
        items = enumerate(node.value)
        return Node([interpolate_tree(item, variables, findings, (*path, n)) for n, item in items], node.place)
    if node.value is None or "${" not in node.value:
        return node
    try:
        text, names = interpolate(node.value, variables)
    except UnfitError as unfit:
        findings.mistake(path, unfit.wrong, unfit.right)
        return node
    return Node(text, node.place, ", ".join(f"${{{name}}}" for name in dict.fromkeys(names)))


def _replaced(text: str, variables: Mapping[str, str], names: list[str], depth: int) -> str:
    if depth > _DEPTH_MAX:
        raise UnfitError("defaults are nested too deeply", EXAMPLES)
    found = ""
    at = 0
    while (start := text.find("${", at)) >= 0:
        if start > at and text[start - 1] == "$":
            found += text[at : start - 1] + "${"
            at = start + 2
            continue
        end = _end(text, start + 2)
        found += text[at:start] + _value(text[start + 2 : end], variables, names, depth)
        at = end + 1
    return found + text[at:]


def _end(text: str, start: int) -> int:
    """Where the brace closes that was opened before ``start``."""
    depth = 1
    for at in range(start, len(text)):
        if text[at] == "}":
            depth -= 1
            if not depth:
                return at
        elif text.startswith("${", at):
            depth += 1
    raise UnfitError("a `${` is not closed", EXAMPLES)


def _value(inner: str, variables: Mapping[str, str], names: list[str], depth: int) -> str:
    found = _NAME.match(inner)
    name = found[0] if found else ""
    mark = re.match(r":?[-?]|$", inner[len(name) :])
    if not name or mark is None:
        raise UnfitError(f"${{{inner}}} names no variable", EXAMPLES)
    names.append(name)
    rest = inner[len(name) + len(mark[0]) :]
    value = variables.get(name)
    if value is not None and (value or not mark[0].startswith(":")):
        return value
    if mark[0].endswith("-"):
        return _replaced(rest, variables, names, depth + 1)
    state = "not set" if value is None else "empty"
    reason = f": {rest}" if rest else ""
    near = did_you_mean(name, variables)
    raise UnfitError(
        f"the variable {name} is {state}{reason}", f"set it, or give a default: ${{{name}:-default}}{near}"
    )
