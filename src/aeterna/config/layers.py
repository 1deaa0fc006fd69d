"""Lays the sources of a configuration over each other: file < ``.env`` < environment < command line.

Every value keeps the place it came from. Nothing here knows the keys, but for one thing: what stands below ``env`` are
names of variables, whose case counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from aeterna.config.dotenv import parse_dotenv
from aeterna.config.findings import Findings
from aeterna.config.interpolation import interpolate_tree
from aeterna.config.lines import read_file, refused
from aeterna.config.mistakes import KeyPath, Place
from aeterna.config.nodes import Node, walk
from aeterna.config.older import with_mappings

PREFIX = "AETERNA__"
SEPARATOR = "__"
COMMAND_LINE = "command line"
_VARIABLES = frozenset({"env", "environment"})


class Setting(NamedTuple):
    """One value from a layer above the file. ``parts``: its path as it was written; ``is_exact``: case counts."""

    parts: tuple[str, ...]
    value: str
    place: Place
    is_exact: bool


def read_layers(path: Path, environ: Mapping[str, str], overrides: Sequence[str]) -> Findings:
    """The configuration with all layers, as it was written; raises `MistakesError` if a source cannot be read.

    ``overrides`` are texts like ``orchestration.drain.timeout=10s``.
    """
    root = read_file(path)
    dotenv = _dotenv(path)
    findings = Findings(root)
    variables = {name: value for name, (value, _) in dotenv.items()} | dict(environ)
    findings.root = interpolate_tree(root, variables, findings)
    findings.root = with_mappings(findings.root, variables, findings)
    for setting in [*_of_dotenv(dotenv), *_of_environment(environ), *_of_command_line(overrides)]:
        findings.root = _lay(findings.root, setting, (), findings)
    _check_texts(findings)
    return findings


def _check_texts(findings: Findings) -> None:
    """Refuse what no program could be given: variables of the system, and JSON, can hold it."""
    for path, node in walk(findings.root):
        texts = [part for part in (*path[-1:], node.value) if isinstance(part, str)]
        if any("\0" in text for text in texts):
            findings.mistake(path, "it has a zero byte", "a text of letters, digits and signs")
        elif not all(map(_is_unicode, texts)):
            findings.mistake(path, "it is not UTF-8", "a text of letters, digits and signs")


def _is_unicode(text: str) -> bool:
    """Whether the text has no half of a surrogate pair, which stands for a byte that is not UTF-8."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def dotenv_of(path: Path) -> Path:
    """The ``.env`` file that belongs to a configuration; it need not exist."""
    return path.parent / ".env"


def _dotenv(path: Path) -> dict[str, tuple[str, Place]]:
    file = dotenv_of(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise refused(Place(str(file)), f"it cannot be read: {reason}", "a text file, or none") from None
    return parse_dotenv(text, str(file))


def _of_dotenv(dotenv: Mapping[str, tuple[str, Place]]) -> Iterator[Setting]:
    for name, (value, place) in dotenv.items():
        if name.startswith(PREFIX):
            yield Setting(tuple(name.removeprefix(PREFIX).split(SEPARATOR)), value, place, is_exact=False)


def _of_environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    for name in sorted(environ):
        if name.startswith(PREFIX):
            place = Place(f"environment variable {name}")
            yield Setting(tuple(name.removeprefix(PREFIX).split(SEPARATOR)), environ[name], place, is_exact=False)


def _of_command_line(overrides: Sequence[str]) -> Iterator[Setting]:
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            place = Place(f"{COMMAND_LINE} ({text})")
            raise refused(place, "it sets nothing", "KEY=VALUE, like orchestration.drain.timeout=10s")
        yield Setting(tuple(key.split(".")), value, Place(COMMAND_LINE), is_exact=True)


def _lay(node: Node, setting: Setting, path: KeyPath, findings: Findings) -> Node:
    """The tree with the setting in it."""
    depth = len(path)
    if depth == len(setting.parts):
        return _read(setting)
    part = setting.parts[depth]
    if not part:
        raise refused(setting.place, "its name has an empty part", f"{PREFIX}SECTION{SEPARATOR}KEY")
    if isinstance(node.value, list):
        if not part.isdecimal() or int(part) >= len(node.value):
            wrong = f"{part!r} is no number of an item of the list"
            raise refused(setting.place, wrong, f"a number below {len(node.value)}, or the whole list as [a, b]")
        items = list(node.value)
        items[int(part)] = _lay(items[int(part)], setting, (*path, int(part)), findings)
        return Node(items, node.place)
    if isinstance(node.value, str):
        raise refused(setting.place, f"what is above {part!r} is a text: {node.value!r}", "a key that has keys below")
    entries = dict(node.value or {})
    key = part if setting.is_exact else _key(part, entries, path)
    below = entries.get(key, Node(None, setting.place))
    entries[key] = _lay(below, setting, (*path, key), findings)
    return Node(entries, node.place)


def _read(setting: Setting) -> Node:
    from aeterna.config.yaml_lines import read_flow

    return read_flow(setting.value, setting.place)


def _key(part: str, entries: Mapping[str, Node], path: KeyPath) -> str:
    """The key that a part of a variable's name means: one that is there, else the part in lower case."""
    if path and path[-1] in _VARIABLES:
        return part
    return next((key for key in entries if _as_variable(key) == part.upper()), part.lower())


def _as_variable(key: str) -> str:
    return key.upper().replace("-", "_").replace(".", "_")
