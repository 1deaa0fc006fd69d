"""How things are put: tables on a terminal, durations, suggestions, widths."""

from __future__ import annotations

import asyncio
import os
import pty

import pytest

from aeterna.cli import output
from aeterna.cli.suggestions import did_you_mean
from tests.cli.conftest import finish_on_a_terminal, leave_pending, start

LONG_ID = "customer-4711-order-2026-11-21-with-a-very-long-name-0001"


@pytest.mark.parametrize(
    ("span_us", "text"),
    [
        (0, "0 us"),
        (999, "999 us"),
        (1_000, "1 ms"),
        (199_970, "200 ms"),
        (12_340, "12.3 ms"),
        (999_960, "1 s"),
        (2_999_900, "3 s"),
        (4_210_000, "4.21 s"),
        (59_999_900, "1 min"),
        (200_000_000, "3 min 20 s"),
        (7_199_700_000, "2 h"),
        (86_399_700_000, "1 d"),
        (90_000_000_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_rounded_to_what_matters(span_us, text):
    assert output.duration(span_us) == text


@pytest.mark.parametrize(
    ("wrong", "known", "hint"),
    [
        ("statsu", ["status", "cancel"], "; did you mean 'status'?"),
        ("work", ["workflow"], "; did you mean 'workflow'?"),
        ("a", ["alpha", "add"], ""),
        ("reserve", ["fulfil"], ""),
        ("B-1", ["A-1", "A-2"], ""),
    ],
)
def test_only_a_close_name_is_suggested(wrong, known, hint):
    assert did_you_mean(wrong, known) == hint


def test_a_long_text_loses_its_middle():
    assert output.cut_middle("abcdefghijklmnop", 11) == "abcd...mnop"
    assert output.cut_middle("short", 20) == "short"


def on_a_terminal(columns, *arguments):
    """What the command shows on a terminal of that width."""
    ours, theirs = pty.openpty()
    process = start(*arguments, stdout=theirs, env={**os.environ, "COLUMNS": str(columns)})
    os.close(theirs)
    answer, shown = finish_on_a_terminal(process, ours)
    assert answer.code == 0
    return shown.decode().replace("\r\n", "\n")


def test_on_a_narrow_terminal_ids_are_cut_and_in_a_pipe_never(cli, place):
    asyncio.run(leave_pending(place / "s.db", LONG_ID))
    narrow = on_a_terminal(110, "workflow", "list", "--store", "s.db")
    assert max(map(len, narrow.splitlines())) <= 110
    assert "customer-4" in narrow
    assert "0001 " in narrow
    assert LONG_ID not in narrow
    assert LONG_ID in on_a_terminal(200, "workflow", "list", "--store", "s.db")
    assert LONG_ID in cli("workflow", "list", "--store", "s.db").out


@pytest.mark.parametrize("path", [(), ("run",), ("workflow", "list"), ("demo",), ("status",)])
@pytest.mark.parametrize("columns", [60, 100])
def test_prose_of_the_help_fits_the_width(cli, monkeypatch, path, columns):
    """Examples are left as they are; what is filled fits."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = cli(*path, "--help").out
    prose = [line for line in text.splitlines() if line and not line.startswith(" ") and "usage:" not in line]
    assert max(map(len, prose)) <= columns


def test_the_help_of_run_says_where_the_store_is(cli):
    assert "relative to the current directory" in " ".join(cli("run", "--help").out.split())
    assert "[ARG ...]" in cli("run", "--help").out
