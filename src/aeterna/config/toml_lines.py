"""TOML as nodes with their lines: `tomllib` says what the values are, a scan of the text where their keys stand."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from aeterna.config.lines import refused
from aeterna.config.mistakes import KeyPath, MistakesError, Place, key_path
from aeterna.config.nodes import DEPTH_MAX, Node

_LINE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_KEY = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""+|\'\'\'.*?\'\'\'+|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}#\n]+")


def read_toml(text: str, source: str) -> Node | None:
    """The document, or None if it has no key; raises `MistakesError`."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(str(error), text, source) from None
    except RecursionError:
        raise refused(Place(source), "it is nested too deeply", f"at most {DEPTH_MAX} levels") from None
    if not found:
        return None
    scan = _Scan(text)
    scan.document()
    return _node(found, (), scan.lines, Place(source, 1))


def _syntax(message: str, text: str, source: str) -> MistakesError:
    found = _LINE.search(message)
    line = int(found[1]) if found and found[1] else text.count("\n") + 1
    problem = _LINE.sub("", message)
    scan = _Scan(text)
    # The text is no TOML, so the scan may run off its end; what it found until then is right.
    with contextlib.suppress(IndexError, ValueError):
        scan.document()
    for path, first, second in scan.repeated:
        if second == line:
            wrong = f"the key stands twice in one mapping, first in line {first}"
            return refused(Place(source, line), wrong, f"one of lines {first} and {second}", key_path(path))
    return refused(Place(source, line), f"it is no TOML: {problem[:1].lower()}{problem[1:]}", "TOML that can be read")


def _node(value: Any, path: KeyPath, lines: dict[KeyPath, int], above: Place) -> Node:
    place = Place(above.source, lines.get(path, above.line))
    if len(path) > DEPTH_MAX:
        raise refused(place, "it is nested too deeply", f"at most {DEPTH_MAX} levels")
    if isinstance(value, dict):
        return Node({key: _node(child, (*path, key), lines, place) for key, child in value.items()}, place)
    if isinstance(value, list):
        return Node([_node(child, (*path, number), lines, place) for number, child in enumerate(value)], place)
    if isinstance(value, bool):
        return Node(str(value).lower(), place)
    return Node(str(value), place)


class _Scan:
    """Finds the line of every key of a text that `tomllib` has understood."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.repeated: list[tuple[KeyPath, int, int]] = []
        self._text = text
        self._at = 0
        self._tables: dict[KeyPath, int] = {}
        self._headers: set[KeyPath] = set()

    def document(self) -> None:
        """Read every line; raises IndexError if the text is no TOML."""
        table: KeyPath = ()
        while self._skip(_SPACE) < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._assignment(table)

    def _header(self) -> KeyPath:
        line = self._line()
        is_list = self._text.startswith("[[", self._at)
        self._at += 2 if is_list else 1
        keys = self._keys()
        self._at += 2 if is_list else 1
        path = self._resolved(keys)
        if is_list:
            number = self._tables.get(path, -1) + 1
            self._tables[path] = number
            self.lines.setdefault(path, line)
            path = (*path, number)
        elif path in self._headers:
            self.repeated.append((path, self.lines[path], line))
        self._headers.add(path)
        self._mark(path, line)
        return path

    def _resolved(self, keys: list[str]) -> KeyPath:
        """The path of a header: where a key names a list of tables, its last one is meant."""
        path: KeyPath = ()
        for number, key in enumerate(keys):
            path = (*path, key)
            if number < len(keys) - 1 and path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _assignment(self, table: KeyPath) -> None:
        line = self._line()
        path = (*table, *self._keys())
        if path in self.lines:
            self.repeated.append((path, self.lines[path], line))
        self._mark(path, line)
        self._at += 1
        self._value(path)

    def _mark(self, path: KeyPath, line: int) -> None:
        for depth in range(1, len(path) + 1):
            self.lines.setdefault(path[:depth], line)

    def _keys(self) -> list[str]:
        """A dotted key; leaves the position at what follows it."""
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            found = _KEY.match(self._text, self._at)
            if found is None:
                raise IndexError("no key here")
            self._at = found.end()
            keys.append(_unquoted(found[0]))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        match self._text[self._at]:
            case "[":
                for number in self._items("]"):
                    self.lines.setdefault((*path, number), self._line())
                    self._value((*path, number))
            case "{":
                for _ in self._items("}"):
                    self._assignment(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                self._take(_BARE)

    def _items(self, closing: str) -> Iterator[int]:
        """Numbers of the items in brackets; stands at each when it is given, and behind the bracket at the end."""
        number = 0
        self._at += 1
        while True:
            self._skip(_SPACE)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_SPACE)
            if self._text[self._at] == closing:
                self._at += 1
                return
            yield number
            number += 1

    def _take(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise IndexError("no value here")
        self._at = found.end()

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        assert found is not None, "the pattern also matches nothing"
        self._at = found.end()
        return self._at

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1


def _unquoted(key: str) -> str:
    if key.startswith('"'):
        [name] = tomllib.loads(f"{key} = 0")
        return name
    return key.strip("'")
