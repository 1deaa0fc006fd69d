"""The generated part of the page about configuration: every key, what it takes, its default, what it means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aeterna.config.json_schema import default_text
from aeterna.config.schema import Document, Service
from aeterna.config.shapes import (
    Anything,
    Compound,
    Key,
    ListOf,
    MappingOf,
    Scalar,
    Section,
    Shape,
    Sub,
    keys_of,
    required_keys,
)

PAGE = Path(__file__).parent / "reference" / "configuration.md"
START = "<!-- keys: written by `make docs` from the schema; do not edit -->"
END = "<!-- end of keys -->"

_HEAD = ["| key | takes | default | meaning |", "|---|---|---|---|"]


def configuration_page() -> str:
    """The page with its tables written anew."""
    text = PAGE.read_text(encoding="utf-8")
    tables = "\n".join(_tables())
    return re.sub(
        f"{re.escape(START)}.*{re.escape(END)}", lambda _: f"{START}\n\n{tables}\n{END}", text, flags=re.DOTALL
    )


def _tables() -> Iterator[str]:
    shared = set(keys_of(Service)) & set(keys_of(Document))
    yield from _table("Top level", Document, [name for name in keys_of(Document) if name not in shared])
    yield from _table("Below `service:`", Service, [name for name in keys_of(Service) if name not in shared])
    yield from _table(
        "Beside `service:`, or in each of `services:`", Service, [name for name in keys_of(Service) if name in shared]
    )
    for title, section in _sections():
        yield from _table(title, section, list(keys_of(section)))


def _sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section below the top, by the first path that leads to it."""
    seen: set[type[Section]] = {Document, Service}
    waiting: list[tuple[str, type[Section]]] = [("", Document)]
    while waiting:
        path, section = waiting.pop(0)
        for name, key in keys_of(section).items():
            shape, below = _inner(key.shape, f"{path}.{name}" if path else name)
            if isinstance(shape, Sub) and shape.section not in seen:
                seen.add(shape.section)
                yield f"`{below}`", shape.section
                waiting.append((below, shape.section))


def _inner(shape: Shape, path: str) -> tuple[Shape, str]:
    while isinstance(shape, (ListOf, MappingOf)):
        path = f"{path}.NAME" if isinstance(shape, MappingOf) else f"{path}[]"
        shape = shape.item
    return shape, path


def _table(title: str, section: type[Section], names: list[str]) -> Iterator[str]:
    needed = required_keys(section)
    yield f"### {title}"
    yield ""
    yield from _HEAD
    for name in names:
        key = keys_of(section)[name]
        default = "needed" if name in needed else _default(default_text(section, name, key))
        yield f"| `{name}` | {_takes(key)} | {default} | {key.meaning} |"
    yield ""


def _takes(key: Key) -> str:
    match key.shape:
        case Scalar() | Compound():
            return key.shape.name
        case Sub():
            return "keys"
        case ListOf():
            return f"list of {_takes(Key(key.shape.item, ''))}"
        case MappingOf():
            return f"name: {_takes(Key(key.shape.item, ''))}"
        case Anything():
            return "anything"


def _default(value: Any) -> str:
    if value is None or value in ("", []):
        return ""
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{json.dumps(value)}`"
