"""Where samples come from: a server's HTTP API, or the file of a store, whether a program has it open or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aeterna.cli.output import now_us
from aeterna.cli.runs import line_of
from aeterna.cli.server_choice import ServerChoice
from aeterna.cli.top.sample import QueueLine, Sample, WorkerLine
from aeterna.durable.stores.sqlite.glance import Glance
from aeterna.durable.stores.sqlite.run_lines import LineQuery

LATEST_MAX = 100

Source = Callable[[], Sample]
"""Takes a sample now; raises `AeternaError` where that cannot be done."""


def server_source(choice: ServerChoice) -> Source:
    """Of a server's namespace; connects anew for each sample, so that it may go away and come back."""

    def take() -> Sample:
        with choice.connect() as client:
            summary = client.get("/api/observability/summary")
            workers = client.get("/api/workers")["workers"]
            latest = client.get("/api/workflows", {"limit": LATEST_MAX})["runs"]
            place = f"server {client.place}, app {summary['namespace']}"
        return Sample(
            at_us=summary["at_us"],
            place=place,
            runs=summary["runs"],
            oldest_pending_us=summary["oldest_pending_us"],
            stuck=summary["stuck_count"],
            queues=[_queue(found) for found in summary["queues"]],
            workers=[WorkerLine(*(found[name] for name in WorkerLine._fields)) for found in workers],
            latest=sorted(map(line_of, latest), key=lambda line: -line.updated_us),
        )

    return take


def store_source(path: Path, app: str | None) -> Source:
    """Of the file; of all apps in it, if none is named."""

    def take() -> Sample:
        with Glance(path) as glance:
            counts, standing = glance.counts(app), glance.standing(app)
            lines, _ = glance.runs(LineQuery(app, limit=LATEST_MAX))
            queues = [QueueLine(*values) for values in glance.queues(app)]
            workers = [WorkerLine(*session[:5]) for session in glance.sessions(app) if _executes(session[5])]
        return Sample(
            at_us=now_us(),
            place=f"store {path}" + (f", app {app}" if app else ""),
            runs=counts,
            oldest_pending_us=standing[0],
            stuck=standing[1],
            queues=queues,
            workers=workers,
            latest=sorted(lines, key=lambda line: -line.updated_us),
        )

    return take


def _queue(found: Mapping[str, Any]) -> QueueLine:
    return QueueLine(*(found[name] for name in QueueLine._fields))


def _executes(about: str) -> bool:
    """As `operations.workers.is_worker`, of a session's own words."""
    try:
        said = json.loads(about or "{}")
    except ValueError:
        return True
    return not isinstance(said, dict) or said.get("role") != "server"
