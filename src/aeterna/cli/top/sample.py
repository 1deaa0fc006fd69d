"""How a store or a server stood at one moment, and what changed between two of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aeterna.cli.output import iso
from aeterna.cli.runs import FINAL, as_record
from aeterna.durable.stores.sqlite.run_lines import RunLine

US_PER_S = 1_000_000


class QueueLine(NamedTuple):
    """A queue. ``concurrency``: how many of its runs may go on at a time, None for any number; ``oldest_us``: when the
    one that waits longest was created."""

    name: str
    pending: int
    running: int
    concurrency: int | None
    is_paused: bool
    oldest_us: int | None


class WorkerLine(NamedTuple):
    """A session that executes runs; ``runs``: how many it has."""

    number: int
    name: str
    host: str
    pid: int
    runs: int


class Sample(NamedTuple):
    """One moment. ``runs``: how many by state; ``oldest_pending_us``: when the run that waits longest for its start
    was created; ``latest``: some of the newest runs, those that changed last first."""

    at_us: int
    place: str
    runs: Mapping[str, int]
    oldest_pending_us: int | None
    stuck: int
    queues: Sequence[QueueLine]
    workers: Sequence[WorkerLine]
    latest: Sequence[RunLine]


class Rates(NamedTuple):
    """Runs per second between two samples."""

    started: float
    ended: float


def rates_between(earlier: Sample | None, later: Sample) -> Rates | None:
    """None where there is nothing to compare. Runs that were deleted meanwhile count as none, never as fewer."""
    if earlier is None or later.at_us <= earlier.at_us:
        return None
    seconds = (later.at_us - earlier.at_us) / US_PER_S
    started = sum(later.runs.values()) - sum(earlier.runs.values())
    ended = sum(later.runs.get(state, 0) - earlier.runs.get(state, 0) for state in FINAL)
    return Rates(max(started, 0) / seconds, max(ended, 0) / seconds)


def as_document(sample: Sample, rates: Rates | None) -> dict[str, Any]:
    """The sample as JSON; times are ISO 8601 in UTC."""
    return {
        "at": iso(sample.at_us),
        "place": sample.place,
        "runs": dict(sample.runs),
        "oldest_pending_at": iso(sample.oldest_pending_us),
        "stuck": sample.stuck,
        "started_per_s": None if rates is None else round(rates.started, 3),
        "ended_per_s": None if rates is None else round(rates.ended, 3),
        "queues": [_queue_document(queue) for queue in sample.queues],
        "workers": [worker._asdict() for worker in sample.workers],
        "latest": [as_record(line, sample.at_us) for line in sample.latest],
    }


def _queue_document(queue: QueueLine) -> dict[str, Any]:
    document = queue._asdict()
    document["oldest_at"] = iso(document.pop("oldest_us"))
    return document
