"""Gathers mistakes and warnings, each with the place of the key it is about."""

from __future__ import annotations

from aeterna.config.mistakes import KeyPath, Mistake, MistakesError, Place, key_path, masked, shortened
from aeterna.config.nodes import Node, deepest, find


class Findings:
    """What is wrong with one configuration. ``root`` is the configuration as it was written, layers included."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.mistakes: list[Mistake] = []
        self._warnings: list[tuple[Place, str]] = []

    def mistake(self, path: KeyPath, wrong: str, right: str, *, of_key: bool = False) -> None:
        """The value at the path cannot be used; ``of_key``: it is the key that is wrong, so no value is shown."""
        node, _ = deepest(self.root, path)
        value = None if of_key else self._shown(path)
        found = Mistake(node.place, key_path(path), value, wrong, right)
        if found not in self.mistakes:
            self.mistakes.append(found)

    def missing(self, path: KeyPath, meaning: str) -> None:
        """The key at the path is needed and not there."""
        self.mistake(path, "it is missing", f"`{path[-1]}:` with {meaning}", of_key=True)

    def warn(self, path: KeyPath, text: str) -> None:
        """The configuration can be used, and people should know something about the key at the path."""
        node, _ = deepest(self.root, path)
        found = (node.place, f"{node.place}: {key_path(path)}: {text}" if path else f"{node.place}: {text}")
        if found not in self._warnings:
            self._warnings.append(found)

    def has(self, path: KeyPath) -> bool:
        """Whether the key was written, with a value."""
        node = find(self.root, path)
        return node is not None and node.value is not None

    def line_of(self, path: KeyPath) -> str:
        """Where the key was written, for naming it in a message about another one."""
        node, _ = deepest(self.root, path)
        return f"line {node.place.line}" if node.place.line else str(node.place)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line each, in the order of the file."""
        return tuple(text for _, text in sorted(self._warnings, key=lambda found: (found[0].line == 0, found[0])))

    def finish(self) -> None:
        """Raise `MistakesError` if there was any."""
        if self.mistakes:
            raise MistakesError(self.mistakes)

    def _shown(self, path: KeyPath) -> str | None:
        node, found = deepest(self.root, path)
        if isinstance(node.value, str):
            # Above a key that is not there stands a text that is short for it.
            return node.value
        return None if found != path or node.value is None else _flow(node, key_path(path))


def _flow(node: Node, key: str) -> str:
    """The value on one line, like YAML's flow style, cut where it is long."""
    if isinstance(node.value, dict):
        inner = ", ".join(f"{name}: {_flow(child, name)}" for name, child in node.value.items())
        return shortened(f"{{{inner}}}")
    if isinstance(node.value, list):
        return shortened(f"[{', '.join(_flow(child, key) for child in node.value)}]")
    return "null" if node.value is None else masked(key, node.value)
