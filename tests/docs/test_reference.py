"""The reference pages say what the code says: names, signatures, limits, errors, commands."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aeterna
import aeterna.testing
from aeterna.cli import registry
from aeterna.cli.exit_codes import MEANINGS
from aeterna.cli.parser import Parser, parser_of
from aeterna.cli.registry import Command
from aeterna.durable.stores.sqlite.connections import APPLICATION_ID, Synchronous, open_writer
from aeterna.kernel import errors
from tests.docs.pages import commands, read_page, table

SDK = read_page("docs/reference/sdk.md")
CLI = read_page("docs/reference/cli.md")
PUBLIC = {name: getattr(aeterna, name) for name in aeterna.__all__}
CLASSES = [kind for kind in PUBLIC.values() if isinstance(kind, type) and not issubclass(kind, BaseException)]
MADE_BY_USERS = (aeterna.App, aeterna.RetryPolicy, aeterna.Durability, aeterna.Limits, aeterna.Server)


def signature(function: Callable[..., Any]) -> str:
    """The parameters without self and types, as the page shows them."""
    given = inspect.signature(function)
    shown = [p.replace(annotation=inspect.Parameter.empty) for p in given.parameters.values() if p.name != "self"]
    text = str(given.replace(parameters=shown, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text)


def members(kind: type) -> Iterator[str]:
    for name, value in vars(kind).items():
        if not name.startswith("_") and inspect.isfunction(value):
            yield f"`{kind.__name__}.{name}{signature(value)}`"
        elif not name.startswith("_") and isinstance(value, property):
            yield f"`{kind.__name__}.{name}`"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_public_class_is_in_the_reference_with_its_signature(kind: type) -> None:
    heading = f"`{kind.__name__}{signature(kind) if kind in MADE_BY_USERS else ''}`"
    assert heading in SDK.headings
    if kind is not aeterna.RetryPolicy:  # Its methods are the engine's arithmetic.
        missing = [member for member in members(kind) if member not in SDK.text]
        assert not missing


@pytest.mark.parametrize("name", ["heartbeat", "last_details", "attempt"])
def test_every_function_of_activities_is_in_the_reference(name: str) -> None:
    assert f"### `activity.{name}{signature(getattr(aeterna.activity, name))}`" in SDK.text


def test_every_name_for_tests_is_in_the_reference() -> None:
    missing = [name for name in aeterna.testing.__all__ if f"`{name}`" not in SDK.text]
    assert not missing


def test_every_limit_is_in_the_reference_with_its_default() -> None:
    rows = {row[0].strip("`"): row[1] for row in table(read_page("docs/reference/limits.md"), "Limits")}
    defaults = {field.name: field.default for field in dataclasses.fields(aeterna.Limits)}
    assert rows.keys() == defaults.keys()
    assert all(rows[name].startswith(f"{value:,}") for name, value in defaults.items())


def test_every_error_is_in_the_reference_and_marked_if_it_can_be_imported() -> None:
    """The table names each class of the tree; a star marks those that the package itself exports."""
    cells = [row[0] for row in table(read_page("docs/reference/errors.md"), "Errors")]
    marked = {re.sub(r"[*` ]", "", cell): cell.endswith(" *") for cell in cells}
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
    text = read_page("docs/reference/errors.md").text
    assert not [kind.__name__ for kind in classes if f"`{kind.__name__}`" not in text]
    assert marked == {k.__name__: k.__name__ in PUBLIC for k in classes if issubclass(k, errors.AeternaError)}


def leaves(below: tuple[Command, ...] = registry.COMMANDS, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all commands that are no groups."""
    for command in below:
        if command.commands:
            yield from leaves(command.commands, (*path, command.name))
        else:
            yield (*path, command.name)


def parser_at(path: tuple[str, ...]) -> Parser:
    command = registry.find(path)
    assert command is not None
    return parser_of(path, command)


def test_every_command_is_in_the_reference_with_its_options() -> None:
    """One heading per command, and below it the options that its parser has."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^## ", CLI.text, flags=re.MULTILINE)[1:]:
        options = re.search(r"^Options: (.*)\.$", section, flags=re.MULTILINE)
        if options is not None:
            found[section.splitlines()[0].strip("`")] = set(re.findall(r"`(--[\w-]+)`", options[1]))
    options_of = {path: set(parser_at(path).option_names) - {"--help", "--debug"} for path in leaves()}
    assert found == {f"aeterna {' '.join(path)}": options for path, options in options_of.items()}


def test_every_exit_code_is_in_the_reference() -> None:
    assert table(CLI, "Exit codes") == [[str(code), meaning] for code, meaning in MEANINGS.items()]


@pytest.mark.parametrize(("place", "command"), commands(), ids=lambda value: value)
def test_a_command_of_the_documentation_is_understood(place: str, command: str) -> None:
    """It names a command, and that command's parser accepts the rest."""
    words = tuple(shlex.split(command, comments=True)[1:])
    [path] = [path for path in leaves() if words[: len(path)] == path]
    parser_at(path).parse_args(words[len(path) :])


@pytest.mark.parametrize(("synchronous", "number"), [("full", 2), ("normal", 1)])
def test_the_sqlite_settings_are_those_of_the_reference(synchronous: Synchronous, number: int, tmp_path: Path) -> None:
    """As SQLite itself tells them, on the connection that writes."""
    page = read_page("docs/reference/store.md").text
    db = open_writer(tmp_path / "a.db", synchronous)
    names = ("journal_mode", "synchronous", "wal_autocheckpoint", "application_id")
    assert [db.execute(f"PRAGMA {name}").get for name in names] == ["wal", number, 1_000, APPLICATION_ID]
    assert synchronous.upper() in page
    assert "1,000 pages" in page
    assert APPLICATION_ID.to_bytes(4, "big").decode() in page
    db.close()


@pytest.mark.parametrize(("level", "synchronous"), [("state-action-log", "full"), ("snapshot", "normal")])
def test_each_level_opens_its_store_as_the_guarantees_say(level: str, synchronous: str, tmp_path: Path) -> None:
    store = aeterna.App("a", store=f"sqlite:///{tmp_path}/a.db", persistence=level)._opened._store()
    assert vars(vars(store)["_file"])["_synchronous"] == synchronous
