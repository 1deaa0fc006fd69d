"""JSON as nodes with their lines."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from aeterna.config.lines import refused
from aeterna.config.mistakes import KeyPath, Mistake, MistakesError, Place, key_path
from aeterna.config.nodes import DEPTH_MAX, Node

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(r"[^\s,\]}]+")


def read_json(text: str, source: str) -> Node | None:
    """The document, or None if the text is empty; raises `MistakesError`."""
    if not text.strip():
        return None
    try:
        json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise refused(
            Place(source, error.lineno), f"it is no JSON: {error.msg.lower()}", "JSON that can be read"
        ) from None
    except RecursionError:
        raise refused(Place(source), "it is nested too deeply", f"at most {DEPTH_MAX} levels") from None
    except ValueError as error:
        raise refused(Place(source), str(error), "a number in digits, or a text") from None
    reading = _Reading(text, source)
    root = reading.value(())
    if reading.mistakes:
        raise MistakesError(reading.mistakes)
    return root


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that a configuration can have")


class _Reading:
    """One walk over a text that is known to be JSON."""

    def __init__(self, text: str, source: str) -> None:
        self.mistakes: list[Mistake] = []
        self._text = text
        self._source = source
        self._at = 0

    def value(self, path: KeyPath, key_at: int | None = None) -> Node:
        self._skip_space()
        place = self._place(self._at if key_at is None else key_at)
        if len(path) > DEPTH_MAX:
            raise refused(place, "it is nested too deeply", f"at most {DEPTH_MAX} levels")
        match self._text[self._at]:
            case "{":
                return Node(self._mapping(path), place)
            case "[":
                return Node(self._list(path), place)
            case '"':
                return Node(self._string(), place)
            case _:
                return Node(self._word(), place)

    def _mapping(self, path: KeyPath) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while self._has_next("}"):
            key_at = self._at
            key = self._string()
            self._skip_space()
            self._at += 1
            child = self.value((*path, key), key_at)
            if key in found:
                first, second = found[key].place.line, child.place.line
                wrong = f"the key stands twice in one mapping, first in line {first}"
                name = key_path((*path, key))
                self.mistakes.append(Mistake(child.place, name, None, wrong, f"one of lines {first} and {second}"))
            else:
                found[key] = child
        return found

    def _list(self, path: KeyPath) -> list[Node]:
        found: list[Node] = []
        while self._has_next("]"):
            found.append(self.value((*path, len(found))))
        return found

    def _has_next(self, closing: str) -> bool:
        """Step over the opening bracket, a comma or the closing bracket; False after the latter."""
        self._skip_space()
        if self._text[self._at] == closing:
            self._at += 1
            return False
        self._at += 1
        self._skip_space()
        if self._text[self._at] == closing:
            self._at += 1
            return False
        return True

    def _string(self) -> str:
        text, self._at = _DECODER.raw_decode(self._text, self._at)
        return str(text)

    def _word(self) -> str | None:
        found = _WORD.match(self._text, self._at)
        assert found is not None, "a value of a checked text has letters"
        self._at = found.end()
        return None if found[0] == "null" else found[0]

    def _skip_space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        assert found is not None, "the pattern also matches nothing"
        self._at = found.end()

    def _place(self, at: int) -> Place:
        return Place(self._source, self._text.count("\n", 0, at) + 1)
