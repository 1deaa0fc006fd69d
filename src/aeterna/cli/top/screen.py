"""The whole terminal as a picture that is drawn anew with each sample, and given back as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from aeterna.cli.top.picture import picture
from aeterna.cli.top.sample import Rates, Sample

_STYLES = {
    r"(?m)^(QUEUE|WORKER|RUN) .*$": "bold",
    r"(?m)^! .*$": "bold red",
    r"\b[1-9]\d* (failed|stuck)\b|\bFAILED\b|\bstuck\b(?=  )": "red",
    r"\bCOMPLETED\b": "green",
}


@contextmanager
def on_screen() -> Iterator[Callable[[Sample, Rates | None, str], None]]:
    """What it gives draws a sample."""
    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(sample: Sample, rates: Rates | None, problem: str) -> None:
            text = Text(picture(sample, rates, console.size.height, problem), no_wrap=True, overflow="ellipsis")
            for pattern, style in _STYLES.items():
                text.highlight_regex(pattern, style)
            live.update(text, refresh=True)

        yield show
