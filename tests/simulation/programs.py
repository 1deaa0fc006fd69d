"""Random workflows as data: a small language of steps, timers, children and concurrency, generated from a seed.

A program is a tree of JSON lists, so that it can be a workflow's argument. `fits` is the oracle: whatever crashes
happened, the value
of a run must be one that its program can give.
"""

from __future__ import annotations

from random import Random
from typing import Any

Node = list[Any]

LEAVES = ("step", "step", "step", "flaky", "fail", "sleep", "pure", "spoil")
FORKS = ("parallel", "gather", "group", "wait", "ordered", "completed", "crew")


class Generator:
    """Makes one program; ``races``: results may depend on who is first."""

    def __init__(self, rng: Random, prefix: str, *, races: bool = True, children: bool = True) -> None:
        self._rng = rng
        self._prefix = prefix
        self._labels = 0
        self._races = races
        self._children = children

    def _label(self) -> str:
        self._labels += 1
        return f"{self._prefix}{self._labels}"

    def _ms(self) -> int:
        return self._rng.choice((0, 0, 1, 5, 20, self._rng.randrange(200)))

    def node(self, depth: int) -> Node:
        """A random program, at most ``depth`` deep."""
        rng = self._rng
        if depth <= 0 or rng.random() < 0.25:
            return self._leaf()
        kinds = ["seq", "seq", "all", "all", "guard", "loop"]
        kinds += ["watched"]
        kinds += ["race", "timeout", "cleanup"] if self._races else []
        kinds += ["child", "child", "leave"] if self._children else []
        match rng.choice(kinds):
            case "all":
                return ["all", rng.choice(FORKS), self._nodes(depth)]
            case "guard":
                return [
                    "guard",
                    ["all", rng.choice(FORKS[:3]), [*self._nodes(depth), ["raise", self._label(), self._ms()]]],
                ]
            case "race":
                return ["race", [self._leaf(), *self._nodes(depth)]]
            case "timeout":
                return ["timeout", self._ms(), self.node(depth - 1)]
            case "cleanup":
                return ["cleanup", self._ms(), self._label(), self.node(depth - 1)]
            case "watched":
                return ["watched", self.node(depth - 1)]
            case "child":
                return ["child", self.node(depth - 1)]
            case "leave":
                return ["leave", rng.choice(("cancelled", "forgotten")), self._ms(), self.node(depth - 1)]
            case "loop":
                return ["loop", rng.randrange(1, 4), self._label(), self._ms()]
            case _:
                return ["seq", self._nodes(depth)]

    def _nodes(self, depth: int) -> list[Node]:
        return [self.node(depth - 1) for _ in range(self._rng.randrange(1, 4))]

    def _leaf(self) -> Node:
        match self._rng.choice(LEAVES):
            case "sleep":
                return ["sleep", self._rng.choice((0, 3, 50, self._rng.randrange(5_000)))]
            case "flaky":
                return ["step", "flaky", self._label(), self._ms(), self._rng.randrange(1, 3)]
            case kind:
                return ["step", kind, self._label(), self._ms(), 0]


def fits(node: Node, value: Any) -> bool:
    """The program can give this value."""
    match node:
        case ["step", "fail", label, *_]:
            return bool(value == f"failed {label}")
        case ["step", _, label, *_]:
            return bool(value == label)
        case ["sleep", _]:
            return value is None
        case ["seq" | "all", *_, list(inner)]:
            return isinstance(value, list) and len(value) == len(inner) and all(map(fits, inner, value))
        case ["loop", count, label, _]:
            return bool(value == [f"{label}.{index}" for index in range(count)])
        case ["guard", _]:
            return bool(value == "caught")
        case ["race", inner]:
            return fits(inner[value[0]], value[1])
        case ["timeout", _, inner]:
            return value == "timeout" or fits(inner, value)
        case ["cleanup", *_, inner]:
            return value == "not cleaned up" or fits(inner, value)
        case ["leave", *_]:
            return bool(value == "left")
        case ["child" | "watched", inner]:
            return fits(inner, value)
        case _:
            raise AssertionError(node)


def uses(node: Any, word: str) -> bool:
    """The word occurs in the program."""
    return node == word or (isinstance(node, list) and any(uses(part, word) for part in node))
