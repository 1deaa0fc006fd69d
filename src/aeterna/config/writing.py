"""Writes a document as YAML that can be read again, with a remark behind each value if wanted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from aeterna.config.mistakes import KeyPath

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@+-]*(?:[ :][A-Za-z0-9_./@+-]+)*")
_OTHER_TYPE = re.compile(r"(?i)null|true|false|yes|no|on|off|[yn]|[-+.0-9_:]*(e[-+]?[0-9]+)?|0[xo][0-9a-f]+")
"""What some reader of YAML would take for something else than a text."""
_UNSEEN = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
_REMARK_COLUMN = 56


def write_yaml(document: dict[str, Any], remark: Callable[[KeyPath], str] | None = None) -> str:
    """The document; ``remark`` gives what is said behind the value at a path."""
    return "".join(f"{line}\n" for line in _mapping(document, (), 0, remark))


def _mapping(
    entries: dict[str, Any], path: KeyPath, depth: int, remark: Callable[[KeyPath], str] | None
) -> Iterator[str]:
    for key, value in entries.items():
        own: KeyPath = (*path, key)
        start = f"{'  ' * depth}{_scalar(key)}:"
        if isinstance(value, dict) and value:
            yield start
            yield from _mapping(value, own, depth + 1, remark)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield start
            yield from _items(value, own, depth + 1, remark)
        else:
            yield _remarked(f"{start} {_flow(value)}", own, remark)


def _items(items: list[Any], path: KeyPath, depth: int, remark: Callable[[KeyPath], str] | None) -> Iterator[str]:
    for number, item in enumerate(items):
        lines = _mapping(item, (*path, number), depth + 1, remark)
        first = next(lines)
        yield f"{'  ' * depth}- {first.lstrip()}"
        yield from lines


def _remarked(line: str, path: KeyPath, remark: Callable[[KeyPath], str] | None) -> str:
    return line if remark is None else f"{line:<{_REMARK_COLUMN}}  # {remark(path)}"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and not _OTHER_TYPE.fullmatch(text):
        return text
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
