"""YAML as nodes with their lines: aliases and merge keys are followed, tags and several documents are refused."""

from __future__ import annotations

from typing import Any

import yaml

from aeterna.config.lines import refused
from aeterna.config.mistakes import KeyPath, Mistake, MistakesError, Place, key_path
from aeterna.config.nodes import DEPTH_MAX, NODES_MAX, Node

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD = "tag:yaml.org,2002:"
_TEXTS = frozenset(f"{_STANDARD}{kind}" for kind in ("str", "int", "float", "bool", "timestamp", "value"))
_NULL = f"{_STANDARD}null"
_MERGE = f"{_STANDARD}merge"


def read_yaml(text: str, source: str) -> Node | None:
    """The document, or None if there is none; raises `MistakesError`."""
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise _syntax(error, text, source) from None
    finally:
        loader.dispose()
    if root is None:
        return None
    reading = _Reading(source)
    found = reading.node(root, root.start_mark.line + 1, ())
    if reading.mistakes:
        raise MistakesError(reading.mistakes)
    return found


def read_flow(text: str, place: Place) -> Node:
    """A value as it may stand in a variable or on the command line: ``[a, b]``, ``{a: 1}`` or a text."""
    if not text.startswith(("[", "{")):
        return Node(text, place)
    try:
        found = read_yaml(text, place.source)
    except MistakesError as error:
        raise MistakesError([mistake._replace(place=place) for mistake in error.mistakes]) from None
    return Node(text, place) if found is None else _placed(found, place)


def _placed(node: Node, place: Place) -> Node:
    if isinstance(node.value, dict):
        return Node({key: _placed(child, place) for key, child in node.value.items()}, place)
    if isinstance(node.value, list):
        return Node([_placed(child, place) for child in node.value], place)
    return Node(node.value, place)


def _syntax(error: yaml.YAMLError, text: str, source: str) -> MistakesError:
    if not isinstance(error, yaml.MarkedYAMLError):
        return refused(Place(source), f"it is no YAML: {' '.join(str(error).split())}", "a text file in YAML")
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "it is no YAML"
    if error.problem and error.context and error.context != "expected a single document in the stream":
        problem = f"{error.problem} {error.context}"
    right = "YAML that can be read: check indentation, quotes and brackets here and in the line above"
    if "another document" in problem:
        problem, right = "a second document starts here", "one document per file, without `---` between"
    # What is missing at the end is missed behind it.
    line = min(mark.line + 1, len(text.splitlines())) if mark else 0
    return refused(Place(source, line), problem, right)


class _Reading:
    """One walk over the tree that PyYAML composed."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.mistakes: list[Mistake] = []
        self._count = 0

    def node(self, node: yaml.Node, line: int, path: KeyPath) -> Node:
        self._count += 1
        place = Place(self.source, line)
        if self._count > NODES_MAX or len(path) > DEPTH_MAX:
            raise refused(place, "its aliases or nesting make it too large", f"at most {DEPTH_MAX} levels")
        match node:
            case yaml.MappingNode() if node.tag == f"{_STANDARD}map":
                return Node(self._mapping(node, path), place)
            case yaml.SequenceNode() if node.tag == f"{_STANDARD}seq":
                numbered = enumerate(node.value)
                return Node([self.node(item, item.start_mark.line + 1, (*path, n)) for n, item in numbered], place)
            case yaml.ScalarNode() if node.tag == _NULL:
                return Node(None, place)
            case yaml.ScalarNode() if node.tag in _TEXTS:
                return Node(str(node.value), place)
            case _:
                shown = f"!!{node.tag.removeprefix(_STANDARD)}" if node.tag.startswith(_STANDARD) else node.tag
                self._mistake(place, path, f"the tag {shown} means nothing here", "the value without a tag")
                return Node(None, place)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                for key, child in self._merged(value_node, path).items():
                    merged.setdefault(key, child)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(Place(self.source, line), path, "a key is a list or mapping", "a text as key")
                continue
            key = str(key_node.value)
            if key in own:
                self._mistake(
                    Place(self.source, line),
                    (*path, key),
                    f"the key stands twice in one mapping, first in line {own[key].place.line}",
                    f"one of lines {own[key].place.line} and {line}",
                )
                continue
            own[key] = self.node(value_node, line, (*path, key))
        return merged | own

    def _merged(self, node: yaml.Node, path: KeyPath) -> dict[str, Node]:
        """What ``<<`` brings in: of a mapping, or of a list of them, the first first."""
        found: dict[str, Node] = {}
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            line = source.start_mark.line + 1
            child = self.node(source, line, (*path, "<<"))
            if not isinstance(child.value, dict):
                place = Place(self.source, line)
                self._mistake(place, path, "`<<` merges mappings", "an alias of one, like `<<: *name`")
                continue
            for key, value in child.value.items():
                found.setdefault(key, value)
        return found

    def _mistake(self, place: Place, path: KeyPath, wrong: str, right: str) -> None:
        found = Mistake(place, key_path(path), None, wrong, right)
        if found not in self.mistakes:
            self.mistakes.append(found)
