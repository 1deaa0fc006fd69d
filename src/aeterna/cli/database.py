"""Which database a command looks after, a file or PostgreSQL, and how it shows how far it is."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aeterna.cli.options import STORE_VARIABLE
from aeterna.cli.store_choice import URL_HEAD, require_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.ledger import Upkeep

_POSTGRES = ("postgresql://", "postgres://")
_SHOW_EVERY = 256


class Show:
    """How far something is: one `step` per run or table, of ``total`` (0: nobody knows). Shown only on a terminal."""

    def __init__(self, draw: Callable[[int, int], None] | None = None) -> None:
        self._draw = draw
        self._done = 0
        self.total = 0

    @property
    def is_shown(self) -> bool:
        """Somebody looks, so that it is worth counting."""
        return self._draw is not None

    def step(self) -> None:
        """One more; told far more often than it is drawn."""
        self._done += 1
        if self._done % _SHOW_EVERY == 0 or self._done == self.total:
            self.draw(self._done, self.total)

    def draw(self, done: int, total: int) -> None:
        """Show that so much is done of so much."""
        if self._draw is not None:
            self._draw(done, total)


def add_db_option(parser: argparse.ArgumentParser) -> None:
    """``--db``, by its other name ``--store``."""
    parser.add_argument(
        "--db",
        "--store",
        dest="db",
        metavar="PATH_OR_URL",
        help=f"a file, or postgresql://... (default: ${STORE_VARIABLE}, else the only file in ./.aeterna/)",
    )


def chosen_upkeep(given: str | None) -> Upkeep:
    """What looks after the database that is meant; raises `StoreError` for a file that is not there."""
    url = given or os.environ.get(STORE_VARIABLE) or ""
    if not url.startswith(_POSTGRES):
        url = f"{URL_HEAD}{require_store(given)}"
    from aeterna.durable.stores.opening import open_upkeep

    return open_upkeep(url)


@contextmanager
def progress(what: str, *, is_wanted: bool) -> Iterator[Show]:
    """A bar on standard error, if that is a terminal and it ``is_wanted``."""
    if not (is_wanted and sys.stderr.isatty()):
        yield Show()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # What the command prints goes where it is sent, and is held back for the bar only where both are one terminal.
    is_shared = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=is_shared) as bars:
        bar = bars.add_task(what, total=None)
        yield Show(lambda done, total: bars.update(bar, completed=done, total=total or None))


@contextmanager
def waiting(what: str, *, is_wanted: bool) -> Iterator[None]:
    """A sign of life on standard error for what cannot say how far it is."""
    if not (is_wanted and sys.stderr.isatty()):
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
