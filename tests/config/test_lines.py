"""Every format gives the same content with the line of every key, and refuses a key that stands twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.config.lines import FILE_BYTES_MAX, read_file, read_text
from aeterna.config.mistakes import KeyPath, MistakesError, Place, key_path
from aeterna.config.nodes import Node, plain, walk
from aeterna.config.yaml_lines import read_flow

YAML = """\
version: v1
service:
  name: 'a'   # said so
  command: [python, main.py,
    "--x"]
  env:
    A: 1.10
    B: no
x-list:
- {k: 1}
"""
TOML = """\
version = "v1"
[service]
name = 'a'   # said so
command = ["python", "main.py",
  "--x"]

  [service.env]
  A = "1.10"
  B = "no"

[[x-list]]
k = 1
"""
JSON = """\
{"version": "v1",
"service": {
  "name": "a",
  "command": ["python", "main.py",
    "--x"],
  "env": {

    "A": 1.10,
    "B": "no"}},
"x-list":
 [{"k": 1}]}
"""
LINES = {
    ".yaml": {"service.name": 3, "service.command[2]": 5, "service.env.B": 8, "x-list[0].k": 10},
    ".toml": {"service.name": 3, "service.command[2]": 5, "service.env.B": 9, "x-list[0].k": 12},
    ".json": {"service.name": 3, "service.command[2]": 5, "service.env.B": 9, "x-list[0].k": 11},
}
TEXTS = {".yaml": YAML, ".toml": TOML, ".json": JSON}


def lines_of(root: Node) -> dict[str, int]:
    return {key_path(path): node.place.line for path, node in walk(root)}


@pytest.mark.parametrize("suffix", TEXTS)
def test_a_format_gives_texts_as_they_were_written_with_their_lines(suffix: str) -> None:
    root = read_text(TEXTS[suffix], "a", suffix)
    assert plain(root) == {
        "version": "v1",
        "service": {"name": "a", "command": ["python", "main.py", "--x"], "env": {"A": "1.10", "B": "no"}},
    }
    assert lines_of(root).items() >= LINES[suffix].items()


@pytest.mark.parametrize(
    ("suffix", "text", "key", "first", "second"),
    [
        (".yaml", "a: 1\nb: {c: 1,\n  c: 2}\n", "b.c", 2, 3),
        (".yaml", "a: 1\n\na: 2\n", "a", 1, 3),
        (".toml", "a = 1\n\na = 2\n", "a", 1, 3),
        (".toml", "[a]\nb = 1\n[c]\n[a]\n", "a", 1, 4),
        (".toml", "b = {c = 1, c = 2}\n", "b.c", 1, 1),
        (".json", '{"a": [{"b": 1,\n"b": 2}]}', "a[0].b", 1, 2),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(
    suffix: str, text: str, key: str, first: int, second: int
) -> None:
    with pytest.raises(MistakesError) as caught:
        read_text(text, f"a{suffix}", suffix)
    assert str(caught.value) == (
        f"a{suffix}:{second}: {key}\n"
        f"  wrong: the key stands twice in one mapping, first in line {first}\n"
        f"  right: one of lines {first} and {second}"
    )


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".yaml", "a: [1", "a:1: did not find expected ',' or ']' while parsing a flow sequence"),
        (".yaml", "a: 1\nb: c: d", "a:2: mapping values are not allowed in this context"),
        (".yaml", "a: 1\n\tb: 1", "a:2: found a tab character that violates indentation"),
        (".yaml", "a: *b", "a:1: found undefined alias"),
        (".yaml", "a: 1\n---\nb: 2", "a:2: a second document starts here"),
        (".yaml", "a: !!python/object:os.system x", "a:1: the tag !!python/object:os.system means nothing here"),
        (".yaml", "a: !secret x", "a:1: the tag !secret means nothing here"),
        (".yaml", "? [a]\n: 1", "a:1: a key is a list or mapping"),
        (".yaml", "<<: 3", "a:1: `<<` merges mappings"),
        (".yaml", "- a", "a:1: it does not start with a key"),
        (".yaml", "a: &a [*a]", "a:1: its aliases or nesting make it too large"),
        (".yaml", "a: \x07", "a:0: it is no YAML: unacceptable character"),
        (".yaml", "", "a:0: it is empty"),
        (".toml", "", "a:0: it is empty"),
        (".json", " ", "a:0: it is empty"),
        (".toml", "a = 1\nb = ", "a:2: it is no TOML: invalid value"),
        (".toml", "a = [1", "a:1: it is no TOML: unclosed array"),
        (".toml", 'a = "\\q"', "a:1: it is no TOML: unescaped '\\' in a string"),
        (".json", '{"a": 1,}', "a:1: it is no JSON: expecting property name enclosed in double quotes"),
        (".json", '{"a":\n tru}', "a:2: it is no JSON: expecting value"),
        (".json", '{"a": NaN}', "a:0: NaN is no number that a configuration can have"),
        (".json", '{"a":' * 40 + "1" + "}" * 40, "a:1: it is nested too deeply"),
        (".json", "[" * 100_000, "a:0: it is nested too deeply"),
        (".toml", f"a = {'[' * 40}{']' * 40}", "a:1: it is nested too deeply"),
        (".ini", "a", "a:0: the format of a file that ends in '.ini' is not known"),
        ("", "a", "a:0: its name has no ending"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_its_line(suffix: str, text: str, message: str) -> None:
    with pytest.raises(MistakesError) as caught:
        read_text(text, "a", suffix)
    [mistake] = caught.value.mistakes
    assert f"a:{mistake.place.line}: {mistake.wrong}".startswith(message)
    assert mistake.right


def test_aliases_and_merge_keys_are_followed() -> None:
    text = "x-a: &a {k: 1, l: 2}\nx-b: &b {l: 3, m: 4}\nc:\n  <<: [*a, *b]\n  k: 5\nd: *a\n"
    assert plain(read_text(text, "a", ".yaml")) == {"c": {"k": "5", "l": "2", "m": "4"}, "d": {"k": "1", "l": "2"}}


def test_aliases_that_grow_without_bound_are_refused() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 10))
    with pytest.raises(MistakesError, match="too large"):
        read_text(f"l0: &l0 x\n{levels}", "a", ".yaml")


def test_only_a_value_that_is_not_there_is_null() -> None:
    found = read_text("a:\nb: ~\nc: null\nd: 'null'\ne: ''\n", "a", ".yaml")
    values = {path[0]: node.value for path, node in walk(found) if path}
    assert values == {"a": None, "b": None, "c": None, "d": "null", "e": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xff\n", "it is not UTF-8"),
        (b"#" * (FILE_BYTES_MAX + 1), "bytes"),
    ],
)
def test_a_file_that_is_no_text_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(MistakesError, match=message):
        read_file(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MistakesError, match="there is no such file"):
        read_file(tmp_path / "a.yaml")
    with pytest.raises(MistakesError, match="it cannot be read: is a directory"):
        read_file(_directory(tmp_path / "b.yaml"))


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: v1\n")
    assert plain(read_file(path)) == {"version": "v1"}


KEYS = st.text(alphabet="ab.\"' #=\\é", min_size=1, max_size=4)
VALUES = st.recursive(
    st.text(alphabet="ab\"'\n#]},=[{ \\é", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def _toml(value: object) -> str:
    """TOML's inline form, whose strings are JSON's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(_toml, value)) + "\n]"
    return json.dumps(value)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_the_line_of_every_toml_key_is_where_it_stands(document: dict[str, object]) -> None:
    """Each top-level key is written on a line of its own, below comments and after values of several lines."""
    text = ""
    expected: dict[KeyPath, int] = {}
    for key, value in document.items():
        text += "# [a]\n\n"
        expected[(key,)] = text.count("\n") + 1
        text += f"{json.dumps(key)} = {_toml(value)} # 'x\n"
    root = read_text(text, "a.toml", ".toml")
    assert plain(root) == document
    assert {path: node.place.line for path, node in walk(root) if path in expected} == expected


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), st.sampled_from([None, 2]))
def test_json_reads_as_python_reads_it(document: dict[str, object], indent: int | None) -> None:
    assert plain(read_text(json.dumps(document, indent=indent), "a.json", ".json")) == document


def test_a_variable_holds_a_list_if_it_begins_like_one() -> None:
    assert plain(read_flow("[a, {b: 1}]", Place("x"))) == ["a", {"b": "1"}]
    assert read_flow("a: b", Place("x")) == Node("a: b", Place("x"))
    with pytest.raises(MistakesError, match=r"^x\n  wrong: did not find"):
        read_flow("[a", Place("x"))
