"""The files the tidy test reads, and what it measures in each of them.

It knows Python's syntax tree and the repository's layout, nothing about what the code does. Everything is parsed once.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_IN_A_CHECKOUT = {".git", ".venv", ".venv-bench", "__pycache__", "node_modules", "build", "dist"}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: its path relative to the repository, its text, lines and tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def is_package_code(self) -> bool:
        """True for what users install, false for tests, benchmarks and documentation."""
        return self.path.startswith("src/")


@cache
def repository_files() -> tuple[str, ...]:
    """Paths of everything that is, or is about to be, committed; relative to the repository, sorted."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        paths = [path for path in listing.stdout.split("\0") if path]
    else:
        files = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        paths = [path.as_posix() for path in files if not NOT_IN_A_CHECKOUT & set(path.parts)]
    return tuple(sorted(path for path in paths if (ROOT / path).is_file()))


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the repository that people write."""
    return tuple(_read(path) for path in repository_files() if path.endswith(".py") and not path.endswith("_pb2.py"))


def _read(path: str) -> Source:
    text = (ROOT / path).read_text(encoding="utf-8")
    return Source(path, text, ast.parse(text, filename=path))


@dataclass(frozen=True, slots=True)
class Function:
    """One function or method. ``lines`` leaves the docstring out; ``parameters`` leaves self and cls out."""

    place: str
    lines: int
    parameters: int
    depth: int


def functions(source: Source) -> Iterator[Function]:
    """All functions of a file, nested ones and methods included."""
    for node in ast.walk(source.tree):
        if isinstance(node, FunctionNode):
            place = f"{source.path}:{node.lineno} {node.name}"
            yield Function(place, _length(node), _parameters(node), _depth(node))


def class_sizes(source: Source) -> Iterator[tuple[str, int]]:
    """Place and number of lines of each class."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            yield f"{source.path}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def _length(node: FunctionNode) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is None:
        return total
    docstring = node.body[0]
    return total - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def _parameters(node: FunctionNode) -> int:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    own = named[1:] if named and named[0].arg in {"self", "cls"} else named
    return len(own) + len(arguments.kwonlyargs) + bool(arguments.vararg) + bool(arguments.kwarg)


def _depth(node: ast.AST) -> int:
    """How deep blocks nest below ``node``; ``elif`` is as deep as its ``if``, inner functions count for themselves."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPES):
            continue
        inner = _depth(child)
        is_elif = isinstance(child, ast.If) and isinstance(node, ast.If) and node.orelse == [child]
        deepest = max(deepest, inner + (isinstance(child, _BLOCKS) and not is_elif))
    return deepest


def broad_handlers(source: Source) -> Iterator[int]:
    """Lines of handlers that catch everything and do not end by raising it again."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield node.lineno


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(one) for one in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


def uses(source: Source, names: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each use of a dotted name out of ``names``, also through ``from a import b``."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, _, rest = ast.unparse(node).partition(".")
            dotted = ".".join(filter(None, (imported.get(first, first), rest)))
            if dotted in names:
                yield node.lineno, dotted


def module_name(path: str) -> str:
    """``src/aeterna/kernel/clock.py`` -> ``aeterna.kernel.clock``."""
    parts = Path(path).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def references(source: Source) -> Iterator[str]:
    """Module names a file mentions: imports, and strings that look like a module of the package (lazy imports)."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Constant(value=str(text)) if re.fullmatch(r"aeterna(\.\w+)+(:\w+)?", text):
                yield text.partition(":")[0]
