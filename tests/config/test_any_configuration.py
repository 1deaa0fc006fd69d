"""Whatever somebody writes, it is a plan or a refusal in the promised shape; nothing else ever comes out."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aeterna.config.json_schema import json_schema
from aeterna.config.lines import read_text
from aeterna.config.loading import load
from aeterna.config.mistakes import KeyPath, MistakesError
from aeterna.config.nodes import plain
from aeterna.config.spec import Plan, decode, encode
from tests.config.conftest import Place
from tests.config.test_plans import EVERYTHING

BASE = plain(read_text(EVERYTHING.replace("\n    ", "\n"), "a", ".yaml"))
TEXTS = ["", "0", "-1", "1", "5s", "100", "true", "{fd:x}", "${A}", "a b", ":", "unix:", "[", "/", "é\0", "9" * 30]
OTHERS: list[Any] = [None, [], {}, [None], [[]], [{}], {"": ""}, {"x-a": 1}, {"listen": None}, ["a", {"b": "c"}]]
ODD: st.SearchStrategy[Any] = st.sampled_from([*TEXTS, "\ud800", *OTHERS, {"command": []}, {"\ud800": "a"}])
KEYS = st.sampled_from(sorted({key for part in json_schema()["$defs"].values() for key in part["properties"]}))


def paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in entries for found in paths(child, (*path, key)))]


def changed(value: Any, path: KeyPath, new: Any) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


def plan_or_refusal(document: Any) -> Plan | MistakesError:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        try:
            return load(path, {})
        except MistakesError as error:
            return error


def check_outcome(document: Any) -> None:
    """Load it, and look at what comes out."""
    found = plan_or_refusal(document)
    if isinstance(found, Plan):
        assert decode(encode(found)) == found
    else:
        assert found.mistakes
        assert all(mistake.wrong and mistake.right for mistake in found.mistakes)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(paths(BASE)), ODD), min_size=1, max_size=3))
def test_odd_values_anywhere_are_a_plan_or_a_refusal(changes: list[tuple[KeyPath, Any]]) -> None:
    document = BASE
    for path, new in changes:
        if path in paths(document):
            document = changed(document, path, new)
    check_outcome(document)


@settings(max_examples=60)
@given(st.dictionaries(KEYS, st.recursive(ODD, lambda inner: st.dictionaries(KEYS, inner, max_size=3)), max_size=5))
def test_known_keys_in_wrong_places_are_a_plan_or_a_refusal(document: dict[str, Any]) -> None:
    check_outcome(document)
    check_outcome({"service": {"name": "a", "command": "b"}, **document})


def test_variables_may_hold_anything(place: Place) -> None:
    """Also what looks like a secret's, a list's or a number's beginning."""
    service = place.service("service: {name: a, command: ['${A}', '${B}']}\nsockets: {}", {"A": "[", "B": "${C}"})
    assert service.command == ("[", "${C}")


def test_a_text_that_no_program_could_be_given_is_refused(place: Place) -> None:
    environ = {"A": "caf\udce9", "AETERNA__WATCHDOG": "5s\0"}
    found = place.refusal("service: {name: a, command: ['${A}']}\nsockets: {}", environ)
    assert found.splitlines()[1::3][0] == "  wrong: it is not UTF-8"
    assert "environment variable AETERNA__WATCHDOG: watchdog = '5s\\x00'\n  wrong: it has a zero byte" in found
