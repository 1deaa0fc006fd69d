"""A sample as text: a heading, the queues, the workers, and as many of the latest runs as there is room for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aeterna.cli import output
from aeterna.cli.runs import STATES
from aeterna.cli.top.sample import QueueLine, Rates, Sample, WorkerLine
from aeterna.durable.stores.sqlite.run_lines import RunLine

QUEUES_MAX = 8
WORKERS_MAX = 12
"""More of them are counted, not shown: the runs are what changes."""

_QUEUE_HEADS = ("QUEUE", "PENDING", "RUNNING", "LIMIT", "OLDEST")
_WORKER_HEADS = ("WORKER", "HOST", "PID", "RUNS")
_RUN_HEADS = ("RUN", "WORKFLOW", "STATE", "DETAIL", "CHANGED", "EVENTS")


def picture(sample: Sample, rates: Rates | None, rows: int | None, problem: str = "") -> str:
    """The text, at most ``rows`` lines where that is given. ``problem``: why the sample is not of now."""
    lines = [*_heading(sample, rates), *([f"! {problem}"] if problem else [])]
    lines += _section(_QUEUE_HEADS, [_queue_row(queue, sample.at_us) for queue in sample.queues], QUEUES_MAX)
    workers = sorted(sample.workers, key=lambda worker: -worker.runs)
    lines += _section(_WORKER_HEADS, [_worker_row(worker) for worker in workers], WORKERS_MAX)
    room = len(sample.latest) if rows is None else max(rows - len(lines) - 2, 0)
    latest = [_run_row(line, sample.at_us) for line in sample.latest[:room]]
    lines += _section(_RUN_HEADS, latest, len(latest))
    return "\n".join(lines[:rows])


def _heading(sample: Sample, rates: Rates | None) -> list[str]:
    counts = [f"{sample.runs.get(state, 0)} {state.lower()}" for state in STATES]
    if sample.oldest_pending_us is not None:
        counts[0] += f" (the oldest for {output.duration(max(sample.at_us - sample.oldest_pending_us, 0))})"
    per_s = "-" if rates is None else f"{rates.started:.1f} started, {rates.ended:.1f} ended per second"
    return [
        f"{sample.place}, {output.iso(sample.at_us)}",
        f"runs   {', '.join(counts)}; {sample.stuck} stuck",
        f"rates  {per_s}",
    ]


def _section(heads: Sequence[str], rows: Sequence[Sequence[str]], rows_max: int) -> list[str]:
    if not rows:
        return []
    cuts = {heads[0]: output.cut_middle, heads[1]: output.cut_middle}
    lines = ["", *output.table(heads, rows[:rows_max], cuts).split("\n")]
    hidden = len(rows) - rows_max
    return [*lines, f"and {hidden} more"] if hidden > 0 else lines


def _queue_row(queue: QueueLine, now: int) -> tuple[str, ...]:
    limit = "paused" if queue.is_paused else "-" if queue.concurrency is None else str(queue.concurrency)
    oldest = "-" if queue.oldest_us is None else output.duration(max(now - queue.oldest_us, 0))
    return queue.name, str(queue.pending), str(queue.running), limit, oldest


def _worker_row(worker: WorkerLine) -> tuple[str, ...]:
    return worker.name or str(worker.number), worker.host, str(worker.pid), str(worker.runs)


def _run_row(line: RunLine, now: int) -> tuple[str, ...]:
    changed = output.distance(line.updated_us, now)
    return line.id, line.workflow, line.state, line.detail, changed, str(line.length)
