"""Reads a ``.env`` file: ``NAME=VALUE`` lines, comments, quotes, ``export`` in front."""

from __future__ import annotations

import re

from aeterna.config.mistakes import Mistake, MistakesError, Place

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(?P<value>.*)")
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse_dotenv(text: str, source: str) -> dict[str, tuple[str, Place]]:
    """The variables with the place of each; a later line wins. Raises `MistakesError` that names every bad line."""
    found: dict[str, tuple[str, Place]] = {}
    mistakes: list[Mistake] = []
    for number, written in enumerate(text.splitlines(), 1):
        line = written.strip()
        if not line or line.startswith("#"):
            continue
        place = Place(source, number)
        parts = _LINE.fullmatch(line)
        value = None if parts is None else _value(parts["value"])
        if parts is None or value is None:
            wrong = "it is no NAME=VALUE" if parts is None else "its quotes are not closed, or something follows them"
            mistakes.append(Mistake(place, "", None, wrong, "lines like NAME=VALUE or NAME='some value'"))
        else:
            found[parts["name"]] = (value, place)
    if mistakes:
        raise MistakesError(mistakes)
    return found


def _value(written: str) -> str | None:
    if written.startswith("'"):
        found = _SINGLE.fullmatch(written)
        return found[1] if found else None
    if written.startswith('"'):
        found = _DOUBLE.fullmatch(written)
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), found[1]) if found else None
    return re.split(r"(?:^|\s)#", written, maxsplit=1)[0].rstrip()
