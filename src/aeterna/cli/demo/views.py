"""How the demo shows its progress: a live table on a terminal, lines elsewhere, nothing with ``--json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class LifeStatus:
    """One process as the table shows it; ``ending`` is empty while it runs."""

    number: int
    pid: int
    replayed: int
    executed: int
    ending: str = ""


@dataclass(frozen=True, slots=True)
class KindStatus:
    """The steps of one kind: how many there will be, and how many each process executed (and recorded)."""

    kind: str
    planned: int
    executed: Sequence[int]


@dataclass(frozen=True, slots=True)
class Status:
    """The whole demo at one moment. ``latest`` is the step recorded last; ``sleeping_s`` how long the timer is that the
    run waits for."""

    seconds: float
    recorded: int
    planned: int
    latest: str
    lives: Sequence[LifeStatus]
    kinds: Sequence[KindStatus] = ()
    sleeping_s: float | None = None


class View(Protocol):
    """Something that shows a status; used as a context manager around the demo."""

    def show(self, status: Status) -> None:
        """Show ``status`` in place of the one before."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class QuietView:
    """Shows nothing."""

    def show(self, status: Status) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class LineView(QuietView):
    """Writes one line per start, per end of a process, and per tenth of the steps: for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._said: set[str] = set()

    def show(self, status: Status) -> None:
        """Write what is new since the last status."""
        for life in status.lives:
            if life.executed or life.ending:
                self._say(status, f"{life.number}/start", f"process {life.number} (pid {life.pid}) {_beginning(life)}")
        if tenth := 10 * status.recorded // max(1, status.planned):
            self._say(status, f"tenth {tenth}", f"{status.recorded} of about {status.planned} steps recorded")
        if status.sleeping_s is not None and not status.lives[-1].ending:
            self._say(status, "sleep", f"sleeping {status.sleeping_s:.3g} s: the timer is in the store")
        for life in status.lives:
            if life.ending:
                self._say(status, f"{life.number}/end", f"process {life.number} (pid {life.pid}) {_end(life)}")

    def _say(self, status: Status, key: str, text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            print(f"{status.seconds:6.2f} s  {text}", file=self._out, flush=True)


class LiveView:
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=12, transient=False)

    def show(self, status: Status) -> None:
        """Redraw the table."""
        self._live.update(picture(status))

    def __enter__(self) -> Self:
        self._live.start(refresh=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def picture(status: Status) -> Group:
    """The tables of processes and of steps, and the progress bar, as rich draws them."""
    bar = Table.grid(padding=(0, 1))
    counted = f"{status.recorded} of {status.planned} steps recorded, {status.seconds:.1f} s"
    bar.add_row(ProgressBar(total=max(1, status.planned), completed=status.recorded, width=40), counted)
    return Group(_processes(status), _steps(status), bar)


def _processes(status: Status) -> Table:
    table = Table("process", "pid", "replayed", "executed", Column(min_width=28))
    for column in table.columns[1:4]:
        column.justify = "right"
    for life in status.lives:
        style = "green" if life.ending == "run completed" else "red" if life.ending else "bold"
        now = f"running: {status.latest}" if status.sleeping_s is None else f"sleeping {status.sleeping_s:.3g} s"
        doing = Text(life.ending or now, style=style, overflow="ellipsis", no_wrap=True)
        table.add_row(str(life.number), str(life.pid), str(life.replayed), str(life.executed), doing)
    return table


def _steps(status: Status) -> Table:
    executed = (Column(f"executed by {life.number}", justify="right") for life in status.lives)
    table = Table("steps", Column("recorded", justify="right"), *executed)
    for kind in status.kinds:
        counts = [str(count or "") for count in kind.executed]
        table.add_row(kind.kind, f"{sum(kind.executed)} of {kind.planned}", *counts)
    return table


def _beginning(life: LifeStatus) -> str:
    return f"goes on: {life.replayed} steps replayed from the history" if life.number > 1 else "starts the run"


def _end(life: LifeStatus) -> str:
    return f"{life.ending}: {life.executed} steps executed"
