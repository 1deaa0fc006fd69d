"""Which store a command is about: ``--store``, else ``AETERNA_STORE``, else the only one in ``.aeterna/``."""

from __future__ import annotations

import os
from pathlib import Path

from aeterna.cli.options import STORE_VARIABLE
from aeterna.kernel.errors import ConfigurationError, StoreError

DIRECTORY = Path(".aeterna")
URL_HEAD = "sqlite:///"


def choose_store(given: str | None) -> Path:
    """The file of the store to use; it need not exist if it was named.

    Raises `ConfigurationError` for a name that is no store or if there are several, `StoreError` if there is none.
    """
    if given is not None:
        return _path_of(given, "--store")
    if named := os.environ.get(STORE_VARIABLE):
        return _path_of(named, f"the environment's {STORE_VARIABLE}")
    found = sorted(DIRECTORY.glob("*.db"))
    if not found:
        raise StoreError(
            f"there is no store in {DIRECTORY.resolve()}: name one with --store PATH or {STORE_VARIABLE}, or go to the "
            f"directory where your program runs. A store comes to be when an App is first used there, for example by "
            f"`aeterna run` (`aeterna init` makes a project to try it)"
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"there are {len(found)} stores in {DIRECTORY.resolve()}: choose one of them with --store: "
            + ", ".join(map(str, found))
        )
    return found[0]


def require_store(given: str | None) -> Path:
    """As `choose_store`, and the file exists."""
    path = choose_store(given)
    if not exists(path):
        raise StoreError(
            f"there is no store at {path}: check the path. A store comes to be when an App that names it is first used"
        )
    return path


def exists(path: Path) -> bool:
    """Something is at ``path``; raises `StoreError` where that cannot be found out."""
    try:
        return path.exists()
    except OSError as error:
        raise StoreError(f"cannot look for a store at {path}: {error.strerror}. Give another path") from error


def url_of(given: str) -> str:
    """The URL of what ``--store`` was given, where a plain path is meant as a file."""
    return given if ":" in given.split("/", 1)[0] else f"{URL_HEAD}{given}"


def _path_of(given: str, origin: str) -> Path:
    url = url_of(given)
    if url.startswith("memory:"):
        raise ConfigurationError(
            f"store {given!r} (from {origin}) lives inside one program: nobody else can look at it"
        )
    if not url.startswith(URL_HEAD) or url == URL_HEAD:
        raise ConfigurationError(f"store {given!r} (from {origin}) is no store: use a path or {URL_HEAD}PATH")
    return Path(url.removeprefix(URL_HEAD)).expanduser()
