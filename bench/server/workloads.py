"""The workloads of the server's benchmark, in the order of the table, and what each figure has to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.server import standing, takeover, throughput
from bench.server.sizes import Sizes
from bench.server.throughput import SYSTEMS

Measure = Callable[[str, Sizes, Path], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Workload:
    """``systems``: those that it is measured on, in turn. ``is_long``: one round must do."""

    name: str
    title: str
    systems: tuple[str, ...]
    measure: Measure
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A bound for a figure of one of Aeterna's systems: below ``bound``, or at least ``bound`` times the figure of
    ``against``."""

    workload: str
    system: str
    metric: str
    bound: float
    against: str = ""


OURS = ("aeterna-sqlite", "aeterna-postgres")
OVER_POSTGRES = ("aeterna-postgres",)

WORKLOADS = (
    Workload("server-noop-50", "runs of 10 no-op steps, 50 in flight", SYSTEMS, throughput.noop_50),
    Workload("server-noop-1", "runs of 10 no-op steps, 1 in flight", SYSTEMS, throughput.noop_1),
    Workload("server-start", "runs of 1 step, 1 in flight", SYSTEMS, throughput.start),
    Workload("server-apart", "noop-50, client and worker apart", OURS, throughput.noop_50_apart),
    Workload("server-takeover", "kill -9 of a worker with its runs", OURS, takeover.takeover, is_long=True),
    Workload("server-idle", "a server with a worker and nothing to do", OVER_POSTGRES, standing.idle, is_long=True),
    Workload("server-sleepers", "very many runs that sleep", OURS, standing.sleepers, is_long=True),
    Workload("server-scaling", "1, 2, 4 workers, 1 and 2 servers", OVER_POSTGRES, throughput.scaling, is_long=True),
)

TARGETS = (
    Target("server-noop-50", "aeterna-sqlite", "steps_per_s", 30, "dbos-sqlite"),
    Target("server-noop-50", "aeterna-postgres", "steps_per_s", 20, "dbos-postgres"),
    Target("server-noop-50", "aeterna-sqlite", "steps_per_s", 3, "restate"),
    Target("server-noop-50", "aeterna-postgres", "steps_per_s", 3, "restate"),
    Target("server-noop-1", "aeterna-sqlite", "p50_ms", 8),
    Target("server-noop-1", "aeterna-postgres", "p50_ms", 8),
    Target("server-start", "aeterna-sqlite", "p50_ms", 3),
    Target("server-start", "aeterna-postgres", "p50_ms", 3),
    Target("server-takeover", "aeterna-sqlite", "kill_to_all_going_on_max_ms", 250),
    Target("server-takeover", "aeterna-postgres", "kill_to_all_going_on_max_ms", 250),
    Target("server-idle", "aeterna-postgres", "server_cpu_percent", 1),
    Target("server-idle", "aeterna-postgres", "queries_per_s_per_queue", 1),
    Target("server-sleepers", "aeterna-sqlite", "server_peak_rss_mb", 400),
    Target("server-sleepers", "aeterna-sqlite", "late_max_ms", 1_000),
    Target("server-sleepers", "aeterna-postgres", "server_peak_rss_mb", 400),
    Target("server-sleepers", "aeterna-postgres", "late_max_ms", 1_000),
)
