"""``aeterna config show``, ``check`` and ``schema``: what they print, and how they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aeterna.cli.exit_codes import USAGE
from aeterna.cli.main import main
from aeterna.cli.parser import parser_of
from aeterna.cli.registry import find
from aeterna.config.json_schema import json_schema
from aeterna.config.lines import read_text
from aeterna.config.loading import load
from aeterna.config.mistakes import MistakesError
from aeterna.config.nodes import plain
from aeterna.config.schema import Document
from aeterna.config.shapes import all_keys
from aeterna.kernel.errors import ConfigurationError
from tests.config.conftest import OLDER, Place

SMALL = "service: {name: a, command: [b], env: {TOKEN: hush}}\nsockets: {http: 8080}\ndepends_on: [db]\n"


def give(*words: str) -> int:
    """One command line below ``aeterna config``; errors are raised, not told."""
    path = ["config", words[0]]
    command = find(path)
    assert command is not None
    return command.load().run(parser_of(path, command).parse(words[1:]))


def test_show_prints_a_configuration_that_gives_the_same_plan(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = place.write(SMALL.replace("TOKEN", "NAME"))
    assert give("show", "-c", str(path), "--override", "watchdog=5s") == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(f"warning: {path}:3: depends_on: accepted")
    again = place.write(printed.out, "b.yaml")
    assert load(again, {}).services == load(path, {}, ["watchdog=5s"]).services


def test_show_masks_secrets_and_says_where_values_come_from(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.directory)
    monkeypatch.setenv("AETERNA__ORCHESTRATION__DRAIN__TIMEOUT", "7s")
    place.write(SMALL)
    assert give("show", "--origin") == 0
    lines = {line.split("  # ")[0].strip(): line.split("  # ")[-1] for line in capsys.readouterr().out.splitlines()}
    assert lines['TOKEN: "********"'] == "aeterna.yaml:1"
    assert lines["timeout: 7s"] == "environment variable AETERNA__ORCHESTRATION__DRAIN__TIMEOUT"
    assert lines["backlog: 4096"] == "default"


def test_show_as_json_has_the_origins_beside_the_values(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = place.write(SMALL)
    assert give("show", "-c", str(path), "--json", "--origin") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"]["service"]["env"] == {"TOKEN": "********"}
    assert found["origins"]["sockets.http.listen"] == f"{path}:2"
    assert found["origins"]["watchdog"] == "default"
    assert [warning.partition(": ")[0] for warning in found["warnings"]] == [f"{path}:3"]


def test_check_says_that_nothing_is_wrong(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = place.write(SMALL)
    assert give("check", "-c", str(path)) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{path}: nothing is wrong; service a\n"
    assert printed.err.startswith("warning: ")
    assert give("check", "-c", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["services"] == ["a"]


def test_check_raises_what_is_wrong(place: Place) -> None:
    path = place.write("service: {}\nsocket: {}")
    with pytest.raises(MistakesError) as caught:
        give("check", "-c", str(path))
    assert [mistake.key for mistake in caught.value.mistakes] == ["socket"]
    assert isinstance(caught.value, ConfigurationError)


def test_a_wrong_configuration_ends_with_the_code_of_wrong_usage(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.write("service: {name: a, command: b}\nsocket: {}")
    assert main(["config", "show", "-c", str(path)]) == USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"aeterna: {path}:2: socket\n  wrong: there is no such key\n  right: did you mean 'sockets'?\n"
    )


def test_a_configuration_that_is_not_there_is_refused(place: Place) -> None:
    with pytest.raises(ConfigurationError, match="there is no configuration at"):
        give("check", "-c", str(place.directory / "no.yaml"))


def test_schema_prints_what_editors_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert give("schema") == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def keys_in(schema: dict[str, Any], whole: dict[str, Any]) -> set[str]:
    """Every key that a schema names, in all that it refers to."""
    found: set[str] = set()
    waiting: list[Any] = [schema]
    seen: set[str] = set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            reference = part.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                waiting.append(whole["$defs"][reference.removeprefix("#/$defs/")])
            properties = part.get("properties", {})
            found |= set(properties)
            waiting += [
                *properties.values(),
                part.get("anyOf", []),
                part.get("items"),
                part.get("additionalProperties"),
            ]
    return found


def test_the_schema_has_every_key_and_every_reference_leads_somewhere() -> None:
    whole = json_schema()
    assert keys_in(whole, whole) == {str(path[-1]) for path, _, _ in all_keys(Document)}


@pytest.mark.parametrize("name", ["aeterna-A.yaml", "aeterna-B.yaml"])
def test_the_older_files_have_only_keys_of_the_schema(name: str) -> None:
    def check(value: Any, schema: dict[str, Any]) -> None:
        schema = schema | whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        if isinstance(value, dict) and "properties" in schema:
            for key, child in value.items():
                check(child, schema["properties"][key])

    whole = json_schema()
    check(plain(read_text((OLDER / name).read_text(encoding="utf-8"), "a", ".yaml")), whole)
