"""Rows and histories as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.fold import Run
from aeterna.durable.operations.event_records import as_record, error_record, value_of
from aeterna.durable.operations.summary import Summary
from aeterna.durable.stores.contract import RunRow
from aeterna.server.redaction import without_payloads


def run_record(row: RunRow, namespace: str) -> dict[str, Any]:
    """A run's row; times are microseconds since 1970."""
    record: dict[str, Any] = msgspec.to_builtins(row)
    del record["key"]
    return {"namespace": namespace, **record}


def outcome_record(run: Run, *, sees_payloads: bool) -> dict[str, Any]:
    """How a run ended, as far as it has."""
    if not sees_payloads:
        return {"result": None, "error": None, "reason": None}
    return {
        "result": None if run.result is None else value_of(run.result),
        "error": None if run.error is None else error_record(run.error),
        "reason": run.cancel_reason,
    }


def event_record(number: int, event: AnyEvent, *, sees_payloads: bool) -> dict[str, Any]:
    """One event; payloads are hidden from those who may not see them."""
    record = as_record(number, event if sees_payloads else without_payloads(event), None)
    del record["at"]
    record["at_us"] = event.at_us
    return record


def summary_record(found: Summary, namespace: str, stuck_after_s: float) -> dict[str, Any]:
    """How a namespace stands; ``queue_backlog``: how many runs wait in each queue, '' = in none."""
    record: dict[str, Any] = msgspec.to_builtins(found)
    backlog = {state.queue.name: state.pending for state in found.queues if state.pending}
    elsewhere = found.pending - sum(backlog.values())
    if elsewhere > 0:
        backlog[""] = backlog.get("", 0) + elsewhere
    waits_us = None if found.oldest_pending_us is None else max(found.at_us - found.oldest_pending_us, 0)
    return {
        "namespace": namespace,
        **record,
        "queue_backlog": backlog,
        "oldest_pending_s": None if waits_us is None else waits_us / 1e6,
        "stuck_after_s": stuck_after_s,
        "stuck_run_ids": [each.id for each in found.stuck],
    }
