"""What keys of one service mean together: contradictions are mistakes, surprises are warnings."""

from __future__ import annotations

from aeterna.config.durations import format_duration
from aeterna.config.part import Part
from aeterna.config.spec import Overlap, ServiceSpec, StateMode, Strategy

CONTAINER_GRACE_MS = 30_000
"""What Kubernetes gives a container between SIGTERM and SIGKILL; Docker gives a third of it."""
RATE_PER_S_LEAST = 500
"""Connections per second that should find room in the queue while nobody accepts."""

_WEIGHTS = ("orchestration", "canary")
_BLACKOUT = ("orchestration", "state_handoff", "blackout_max")


def check_service(part: Part, service: ServiceSpec) -> None:
    """Look at everything that is about more than one key."""
    _weights(part, service)
    _soak(part, service)
    _stop_time(part, service)
    _blackout(part, service)


def _weights(part: Part, service: ServiceSpec) -> None:
    """Weights need two generations that both serve."""
    if len(service.canary.weights) == 1:
        return
    key = "weights" if part.has(*_WEIGHTS, "weights") else "steps"
    if service.state.mode is StateMode.EXCLUSIVE:
        wrong = "with exclusive state one generation serves at a time, so its share is 0 or 100"
        right = "no weights, or `state_handoff.mode: shared` if the state is only a cache"
        part.mistake((*_WEIGHTS, key), wrong, right)
    if service.overlap is Overlap.STOP_FIRST:
        right = "no weights, or `sockets:` that the supervisor holds, so that both can run"
        part.mistake((*_WEIGHTS, key), "with overlap stop-first there is only one generation to send to", right)


def _soak(part: Part, service: ServiceSpec) -> None:
    """A soak that ends before the probe can fail often enough proves nothing."""
    canary, probe = service.canary, service.canary.probe
    if service.strategy is not Strategy.CANARY or probe is None or not canary.soak_ms:
        return
    needed_ms = probe.interval_ms * probe.retries
    total_ms = canary.soak_ms + canary.step_ms * (len(canary.weights) - 1)
    if total_ms < needed_ms:
        key = "soak_time" if part.has("orchestration", "soak_time") else "canary"
        part.warn(
            ("orchestration", key),
            f"{probe.retries} failures of a probe every {format_duration(probe.interval_ms)} take "
            f"{format_duration(needed_ms)}, but the soak ends after {format_duration(total_ms)}",
        )


def _stop_time(part: Part, service: ServiceSpec) -> None:
    """A container that is killed while its services still drain loses what they were doing."""
    total_ms = service.drain.lame_duck_ms + service.stop_grace_ms
    if total_ms > CONTAINER_GRACE_MS:
        part.warn(
            ("stop_grace_period",) if part.has("stop_grace_period") else ("orchestration", "drain", "lame_duck"),
            f"stopping may take {format_duration(total_ms)}, lame duck included; a container is killed after 10s "
            f"(Docker) or 30s (Kubernetes) unless its own grace period is longer",
        )


def _blackout(part: Part, service: ServiceSpec) -> None:
    """While nobody accepts, connections wait in the queue, and what does not fit is lost."""
    if service.state.mode is not StateMode.EXCLUSIVE:
        return
    for socket in service.sockets:
        rate_per_s = socket.backlog * 1_000 // service.state.blackout_ms_max
        if rate_per_s < RATE_PER_S_LEAST:
            part.warn(
                ("sockets", socket.name, "backlog") if part.has("sockets", socket.name, "backlog") else _BLACKOUT,
                f"while nobody accepts for {format_duration(service.state.blackout_ms_max)}, {socket.backlog} "
                f"connections may wait: more than {rate_per_s} per second are refused",
            )
