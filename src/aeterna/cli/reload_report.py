"""How a reload is told to people: a line per phase while it goes on, its verdict, and the whole report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from aeterna.cli import exit_codes, output

_TAIL_LINES = 10

CODES = {
    "succeeded": exit_codes.OK,
    "succeeded_cold": exit_codes.OK,
    "unchanged": exit_codes.OK,
    "config_invalid": exit_codes.USAGE,
    "preflight_failed": exit_codes.PREFLIGHT_FAILED,
    "start_failed": exit_codes.START_FAILED,
    "handoff_failed": exit_codes.HANDOFF_FAILED,
    "rolled_back": exit_codes.ROLLED_BACK,
    "degraded": exit_codes.DEGRADED,
    "cancelled": exit_codes.FAILED,
}
"""The exit code for each `ReloadResult`; a test compares them."""

_VERDICTS = {
    "succeeded": "generation {to} serves",
    "succeeded_cold": "generation {to} serves, but without the memory of generation {from_}",
    "unchanged": "nothing has changed; --force reloads all the same",
    "config_invalid": "the configuration cannot be used; generation {from_} goes on",
    "preflight_failed": "a check failed; generation {from_} goes on, untouched",
    "start_failed": "the new generation did not come up; generation {from_} goes on",
    "handoff_failed": "the state could not be handed over; generation {from_} goes on",
    "rolled_back": "generation {from_} serves again, with its memory",
    "degraded": "went back, but to a process that had to be started anew",
    "cancelled": "cancelled; generation {from_} goes on",
}


def show_progress(reports: Iterator[Mapping[str, Any]], *, is_quiet: bool) -> Mapping[str, Any]:
    """Print each phase when it has ended (on a terminal also when it begins); returns the last report."""
    progress = _Progress(is_quiet=is_quiet)
    last: Mapping[str, Any] = {}
    for last in reports:
        progress.show(last["phases"])
    return last


class _Progress:
    """The phases shown so far. On a terminal the one that lasts stands on a line that is not ended yet."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._is_terminal = sys.stderr.isatty()
        self._done = 0
        self._has_begun = False

    def show(self, phases: list[Mapping[str, Any]]) -> None:
        if self._is_quiet:
            return
        for phase in phases[self._done :]:
            if phase["duration_ms"] is None:
                if self._is_terminal and not self._has_begun:
                    self._write(f"  {_name(phase):<12} ...")
                    self._has_begun = True
                return
            head = "\r" if self._has_begun else ""
            self._write(f"{head}  {_name(phase):<12} {output.duration(round(phase['duration_ms'] * 1_000))}\n")
            self._has_begun = False
            self._done += 1

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def verdict(report: Mapping[str, Any]) -> str:
    """One line that says how it ended, and the last lines of what failed below it."""
    result = report["result"]
    text = _VERDICTS.get(result, result).format(to=report["to_generation"], from_=report["from_generation"])
    reason = f" ({report['reason']})" if report["reason"] and CODES.get(result) != exit_codes.OK else ""
    took = output.duration(round(report["duration_ms"] * 1_000))
    first = f"{report['service']}: {result.replace('_', ' ')}{reason} after {took}: {text}"
    return "\n".join([first, *_tail(report, _TAIL_LINES)])


def whole(report: Mapping[str, Any]) -> str:
    """Everything the report holds."""
    pairs = [
        ("reload", report["id"]),
        ("service", report["service"]),
        ("result", report["result"] or "under way"),
        ("reason", report["reason"]),
        ("generations", f"{report['from_generation']} to {report['to_generation'] or '?'}"),
        ("asked by", report["requested_by"]),
        ("began", report["started_at"]),
        ("took", output.duration(round(report["duration_ms"] * 1_000))),
        ("state moved", output.bytes_text(report["state_bytes"]) if report["state_bytes"] else ""),
        ("nobody accepted", f"{report['blackout_ms']:g} ms" if report["blackout_ms"] else ""),
    ]
    rows = [
        (
            _name(phase),
            f"{phase['started_ms']:g} ms",
            "" if phase["duration_ms"] is None else output.duration(round(phase["duration_ms"] * 1_000)),
            phase.get("detail", ""),
        )
        for phase in report["phases"]
    ]
    parts = [output.fields(pairs), "", output.table(("PHASE", "AFTER", "TOOK", ""), rows)]
    return "\n".join([*parts, *_tail(report, len(report["tail"]))])


def _tail(report: Mapping[str, Any], lines: int) -> list[str]:
    shown = report["tail"][-lines:] if lines else []
    return [f"last lines of generation {report['to_generation']}:", *(f"  | {line}" for line in shown)] if shown else []


def _name(phase: Mapping[str, Any]) -> str:
    return str(phase["phase"]).lower().replace("_", " ")
