"""What the commands about runs share: finding one by its id, and showing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aeterna.cli.output import iso
from aeterna.durable.stores.sqlite.run_lines import LineQuery, RunLine
from aeterna.kernel.errors import RunNotFoundError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.durable.stores.sqlite.glance import Glance

_COMPARED_MAX = 1_000
NEVER_US = 2**62
"""`contract.NEVER_US`, which needs msgspec; a test compares them."""
FINAL = ("COMPLETED", "FAILED", "CANCELLED")
"""The values of the final members of `states.State`, which needs msgspec; a test compares them."""
STATES = ("PENDING", "RUNNING", *FINAL)


STUCK_HINT = (
    "put back code that fits its history, or register the version it was started with (version=...), "
    "or end it with `aeterna cancel {id}`"
)
"""What can be done about a run that is stuck."""


def note_text(line: RunLine) -> str:
    """The run's note on one line, without the id that stands beside it."""
    return " ".join(line.note.removeprefix(f"run {line.id!r}: ").split())


def line_of(document: Mapping[str, Any]) -> RunLine:
    """A run as a server tells it."""
    return RunLine(**{name: document.get(name, 0) for name in RunLine._fields})


def find_run(glance: Glance, run_id: str, app: str | None) -> RunLine:
    """The run; raises `RunNotFoundError` with the nearest ids, or `UsageError` if several apps have one of that id."""
    lines = glance.runs_of_id(run_id, app)
    if not lines:
        raise RunNotFoundError(f"no run has the id {run_id!r} in {glance.path}{_nearest(glance, run_id, app)}")
    if len(lines) > 1:
        apps = ", ".join(line.namespace for line in lines)
        raise UsageError(f"the apps {apps} have a run {run_id!r} each: say which one with --app")
    return lines[0]


def find_runs(glance: Glance, run_ids: Sequence[str], app: str | None) -> list[RunLine]:
    """As `find_run`, several; nothing is done before all are found."""
    return [find_run(glance, run_id, app) for run_id in dict.fromkeys(run_ids)]


def span_us(line: RunLine, now: int) -> int:
    """How long the run took, or has been there."""
    return (line.finished_us or now) - line.created_us


def wake_of(line: RunLine) -> int | None:
    """When the run wakes by itself; None also for one that waits for a signal and nothing else."""
    return None if line.wake_us is None or line.wake_us >= NEVER_US else line.wake_us


def as_record(line: RunLine, now: int) -> dict[str, Any]:
    """The run as JSON; times are ISO 8601 in UTC."""
    return {
        "id": line.id,
        "app": line.namespace,
        "workflow": line.workflow,
        "version": line.version,
        "state": line.state,
        "detail": line.detail,
        "created_at": iso(line.created_us),
        "updated_at": iso(line.updated_us),
        "finished_at": iso(line.finished_us),
        "wake_at": iso(wake_of(line)),
        "duration_ms": span_us(line, now) / 1_000,
        "events": line.length,
        "parent": line.parent,
        "note": line.note,
    }


def _nearest(glance: Glance, run_id: str, app: str | None) -> str:
    from aeterna.cli.suggestions import did_you_mean

    lines, _ = glance.runs(LineQuery(namespace=app, limit=_COMPARED_MAX))
    if not lines:
        return ", which holds no runs" + (f" of app {app!r}" if app else "")
    return did_you_mean(run_id, (line.id for line in lines)) or "; `aeterna workflow list` shows those there are"
