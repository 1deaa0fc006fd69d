"""The workloads by name: what each does, who takes part, and which figures its table shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.supervisor.broken import broken
from bench.supervisor.living import leftovers, restart, start_up
from bench.supervisor.peers.aeterna import Aeterna
from bench.supervisor.peers.peer import Peer
from bench.supervisor.reloading import reload_closed, reload_open
from bench.supervisor.remembering import handover
from bench.supervisor.settings import Settings
from bench.supervisor.site import Site

Metrics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of the table; ``compared``: the other systems' is also given as a multiple of Aeterna's."""

    metric: str
    title: str
    compared: bool = False


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing to measure on one system."""

    name: str
    title: str
    measure: Callable[[type[Peer], Settings], Metrics]
    columns: tuple[Column, ...]
    needs_programs: bool = False
    only_for: type[Peer] | None = None

    def takes(self, peer: type[Peer]) -> bool:
        """Whether this system takes part."""
        if self.only_for is not None:
            return peer is self.only_for
        return (not peer.only or self.name in peer.only) and (peer.supervises or not self.needs_programs)


def _on_a_site(procedure: Callable[[Peer, Site, Settings], Metrics]) -> Callable[[type[Peer], Settings], Metrics]:
    def measure(peer_type: type[Peer], settings: Settings) -> Metrics:
        with Site() as site:
            return procedure(peer_type(site), site, settings)

    return measure


def _broken(release: str) -> Callable[[type[Peer], Settings], Metrics]:
    return _on_a_site(lambda peer, site, settings: broken(peer, site, settings, release))


def _handover(peer_type: type[Peer], settings: Settings) -> Metrics:
    return handover(settings)


def _broken_workload(release: str, title: str) -> Workload:
    columns = (
        Column("requests", "requests"),
        Column("failed", "failed"),
        Column("late", "over 1 s"),
        Column("gap_ms", "gap ms"),
        Column("kept_percent", "good release at the end %"),
        Column("down_after_s", "all down after s"),
        Column("told", "command failed"),
    )
    return Workload(f"broken-{release}", title, _broken(release), columns)


def _handover_columns(name: str, title: str) -> tuple[Column, ...]:
    return (
        Column(f"pause_p50_ms_{name}", f"{title}: p50 ms"),
        Column(f"pause_p99_ms_{name}", "p99 ms"),
        Column(f"gap_ms_{name}", "gap ms"),
        Column(f"failed_{name}", "failed"),
    )


WORKLOADS: tuple[Workload, ...] = (
    Workload("reload", "reload under load, open loop at a fixed rate", _on_a_site(reload_open), (
        Column("requests", "requests"),
        Column("failed", "failed"),
        Column("failed_per_reload", "per reload"),
        Column("gap_ms", "gap ms", compared=True),
        Column("steady_p99_ms", "steady p99 ms"),
        Column("around_p99_ms", "reload p99 ms", compared=True),
        Column("new_after_ms", "new code after ms", compared=True),
        Column("old_until_ms", "old code until ms", compared=True),
        Column("without_effect", "no effect"),
    )),
    Workload("reload-closed", "reload under closed-loop keep-alive clients", _on_a_site(reload_closed), (
        Column("steady_per_s", "steady requests/s"),
        Column("requests", "requests"),
        Column("failed", "failed"),
        Column("failed_per_reload", "per reload"),
        Column("without_effect", "no effect"),
    )),
    _broken_workload("import", "a release that does not import"),
    _broken_workload("crash", "a release that crashes after 1 s"),
    Workload("restart", "SIGKILL of a child to its successor's first word", _on_a_site(restart), (
        Column("restart_p50_ms", "p50 ms", compared=True),
        Column("restart_p95_ms", "p95 ms", compared=True),
        Column("restart_max_ms", "worst ms"),
    ), needs_programs=True),
    Workload("start-up", "command to first 200", start_up, (
        Column("start_p50_ms", "median ms", compared=True),
        Column("start_max_ms", "worst ms"),
        Column("own_memory_mb", "supervisor's own memory MB", compared=True),
    )),
    Workload("leftovers", "processes alive after stop", _on_a_site(leftovers), (
        Column("started", "started"),
        Column("left", "left"),
        Column("stop_s", "stop s", compared=True),
    ), needs_programs=True),
    Workload("handover", "memory changes hands: time in which nobody accepts", _handover, (
        *_handover_columns("value_1", "1 MiB copied"),
        *_handover_columns("buffer_100", "100 MiB buffer"),
        *_handover_columns("buffer_1024", "1 GiB buffer"),
    ), only_for=Aeterna),
)  # fmt: skip
