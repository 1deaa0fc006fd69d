"""A configuration as it was written: mappings, lists and texts, each with the place where it stands.

Scalars stay the text they were written as (``1.10`` is not 1.1, ``no`` is not false): what they mean is decided by the
key they belong to. None stands for a key without a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from aeterna.config.mistakes import KeyPath, Place

Value = dict[str, "Node"] | list["Node"] | str | None

DEPTH_MAX = 32
"""How deep mappings and lists may be nested; no key stands nearly as deep."""
NODES_MAX = 100_000
"""How many values a configuration may have once its aliases are written out."""


class Node(Struct, frozen=True):
    """A value and its place. For a value of a mapping that is the line of its key. ``via`` names the layer above the
    file that a text came through, such as the variable that was put in."""

    value: Value
    place: Place
    via: str = ""

    def child(self, part: str | int) -> Node | None:
        """The value of that key or number; None if there is none."""
        if isinstance(self.value, dict) and isinstance(part, str):
            return self.value.get(part)
        if isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value):
            return self.value[part]
        return None

    @property
    def origin(self) -> str:
        """Where the value came from, for people."""
        return f"{self.place} ({self.via})" if self.via else str(self.place)


def find(root: Node, path: KeyPath) -> Node | None:
    """The node at the path; None if there is none."""
    node: Node | None = root
    for part in path:
        if node is None:
            return None
        node = node.child(part)
    return node


def deepest(root: Node, path: KeyPath) -> tuple[Node, KeyPath]:
    """The last node on the way to the path that is there, and its own path."""
    node = root
    for depth, part in enumerate(path):
        found = node.child(part)
        if found is None:
            return node, path[:depth]
        node = found
    return node, path


def plain(node: Node) -> Any:
    """The value without places, without keys that have no value, and without those that begin with ``x-``."""
    if isinstance(node.value, dict):
        return {
            key: plain(child)
            for key, child in node.value.items()
            if child.value is not None and not key.startswith("x-")
        }
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def walk(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Every node with its path, parents first."""
    yield path, node
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from walk(child, (*path, key))
    elif isinstance(node.value, list):
        for number, child in enumerate(node.value):
            yield from walk(child, (*path, number))
