"""Python and the libraries."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterator

from aeterna import __version__
from aeterna.cli.diagnosis import Finding, Verdict
from aeterna.durable.stores.sqlite.about import library_versions

PYTHON_MIN = (3, 11)
SQLITE_MIN = (3, 51, 3)
"""The first with the fix of the WAL-reset bug; stores refuse older ones."""


def findings() -> Iterator[Finding]:
    """What this interpreter has to offer."""
    yield Finding(Verdict.OK, "aeterna", __version__)
    yield python(sys.version_info[:3])
    apsw, sqlite = library_versions()
    yield libraries(apsw, sqlite)
    if importlib.util.find_spec("uvloop") is None:
        yield Finding(Verdict.OK, "uvloop", "not installed", "It makes programs faster: pip install uvloop")
    else:
        yield Finding(Verdict.OK, "uvloop", "installed")


def python(version: tuple[int, ...]) -> Finding:
    """Whether Python is new enough."""
    text = f"{'.'.join(map(str, version))} ({platform.python_implementation()}, {sys.executable})"
    if version < PYTHON_MIN:
        return Finding(Verdict.FAIL, "python", text, "Use Python 3.11 or newer.")
    return Finding(Verdict.OK, "python", text)


def libraries(apsw: str, sqlite: str) -> Finding:
    """Whether the SQLite inside apsw is safe."""
    text = f"apsw {apsw} with SQLite {sqlite}"
    if tuple(int(part) for part in sqlite.split(".")[:3]) < SQLITE_MIN:
        return Finding(Verdict.FAIL, "sqlite", text, "It can corrupt a store: pip install --upgrade apsw")
    return Finding(Verdict.OK, "sqlite", text)
