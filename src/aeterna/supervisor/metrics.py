"""What the supervisor counts and measures, in the words of Prometheus: one method per thing that happens.

Every metric lives in a registry of its own, so several supervisors in one process (tests) do not meet. Labels take few
values: a reason is cut before its details, and the series of a generation that is gone are removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PROCESS_STATES = {
    "RUNNING": 0,
    "SOAKING": 1,
    "PRE_CHECKING": 2,
    "STARTING_NEW": 3,
    "WARMING": 4,
    "HANDSHAKING": 5,
    "DRAINING": 6,
    "ROLLING_BACK": 7,
    "STARTING": 8,
    "BACKOFF": 9,
    "STOPPING": 10,
    "STOPPED": 11,
    "FAILED": 12,
}
"""The value of ``aeterna_process_state`` in each public phase; these numbers never change their meaning."""

_REASON_CHARS_MAX = 60
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_PHASE_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
_BLACKOUT_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 5)
_BYTES = tuple(1024 * 4**power for power in range(13))


@dataclass(frozen=True, slots=True)
class LivingGeneration:
    """One generation for the gauges. ``role``: ``active``, ``candidate``, ``standby`` or ``draining``."""

    generation: int
    pid: int
    role: str
    memory_bytes: int | None = None
    weight: int = 0


class Metrics:
    """All of them. Belongs to one thread; nothing here waits or fails."""

    def __init__(self, version: str = "") -> None:
        # The time of each counter's birth would double the series, and nobody asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._generations: dict[str, set[tuple[str, str, str]]] = {}
        self._numbers: dict[str, set[str]] = {}
        self._orphans = 0
        self._define_states()
        self._define_handovers()
        self._define_counts()
        self._gauge("build_info", "The version that runs.", "version").labels(version).set(1)

    # --- states and gauges ---

    def set_state(self, service: str, phase: str) -> None:
        """The service is in that public phase now."""
        self._process_state.labels(service).set(PROCESS_STATES[phase])
        for each in PROCESS_STATES:
            self._service_state.labels(service, each).set(each == phase)

    def generations(self, service: str, alive: Iterable[LivingGeneration]) -> None:
        """These generations of the service live; the series of others are removed. For the moment of a scrape."""
        living = list(alive)
        known = self._generations.get(service, set())
        present = {(str(each.generation), str(each.pid), each.role) for each in living}
        for generation, pid, role in known - present:
            self._generation_info.remove(service, generation, pid, role)
        numbers = {generation for generation, _, _ in present}
        for generation in self._numbers.get(service, set()) - numbers:
            self._weight.remove(service, generation)
            self._memory.remove(service, generation)
        for each in living:
            number = str(each.generation)
            self._generation_info.labels(service, number, str(each.pid), each.role).set(1)
            self._weight.labels(service, number).set(each.weight)
            self._memory.labels(service, number).set(each.memory_bytes or 0)
        self._alive.labels(service).set(len(living))
        self._generations[service] = present
        self._numbers[service] = numbers

    def set_weight(self, service: str, generation: int, percent: int) -> None:
        """The generation gets that share of the new connections."""
        self._weight.labels(service, str(generation)).set(percent)
        self._memory.labels(service, str(generation))
        self._numbers.setdefault(service, set()).add(str(generation))

    def listener_backlog(self, service: str, socket: str, length: int) -> None:
        """How many connections wait to be accepted on a listener."""
        self._backlog.labels(service, socket).set(length)

    def is_ready(self, service: str, *, is_ready: bool) -> None:
        """Whether the service answers."""
        self._ready.labels(service).set(is_ready)

    # --- handovers ---

    def reload_ended(self, service: str, result: str, seconds: float, phase: str = "") -> None:
        """A reload has its verdict, ``seconds`` after it was asked for; ``phase`` is the last one it was in."""
        self._handover_seconds.labels(service, result).observe(seconds)
        self._reloads.labels(service, result, phase).inc()

    def observe_phase(self, service: str, phase: str, seconds: float) -> None:
        """A phase of a reload has ended."""
        self._phase_seconds.labels(service, phase).observe(seconds)

    def observe_handoff(self, service: str, size_bytes: int) -> None:
        """So much state has moved."""
        self._handoff_bytes.labels(service).observe(size_bytes)

    def observe_blackout(self, service: str, seconds: float) -> None:
        """For that long nobody has accepted."""
        self._blackout_seconds.labels(service).observe(seconds)

    def rolled_back(self, service: str, reason: str) -> None:
        """A reload has gone back to the old generation."""
        self._rollbacks.labels(service, kind_of(reason)).inc()

    def probed(self, service: str, result: str, *, is_soak: bool = False) -> None:
        """A probe of the serving generation, or in a soak of the new one, brought ``ok``, ``failed`` or ``unknown``."""
        probes = self._soak_probes if is_soak else self._health_probes
        probes.labels(service, result).inc()

    # --- counts ---

    def restarted(self, service: str, reason: str) -> None:
        """A process has died and a new one is started for it."""
        self._restarts.labels(service, reason.partition(" (")[0][:_REASON_CHARS_MAX] or "unknown").inc()

    def straggler(self, service: str, count: int = 1) -> None:
        """Connections that had landed where nobody accepts were passed on."""
        self._stragglers.labels(service).inc(count)

    def accept_queue_overflow(self, service: str, count: int = 1) -> None:
        """Connections found the queue of the listener full."""
        self._overflows.labels(service).inc(count)

    def orphans_reaped(self, total: int) -> None:
        """The keeper has reaped that many processes that were not its own, ever; its number may start anew."""
        self._orphans_reaped.inc(total - self._orphans if total >= self._orphans else total)
        self._orphans = total

    def log_lines(self, service: str, stream: str, count: int = 1) -> None:
        """The service has written lines."""
        self._log_lines.labels(service, stream).inc(count)

    def log_lines_dropped(self, service: str, count: int = 1) -> None:
        """A sink or a follower was too slow for these lines."""
        self._lines_dropped.labels(service).inc(count)

    def operation(self, verb: str, result: str) -> None:
        """Somebody asked for something through the control API or by an OS signal."""
        self._operations.labels(verb, result).inc()

    def render(self) -> bytes:
        """Everything, in the text format."""
        return generate_latest(self._registry)

    def _define_states(self) -> None:
        legend = ", ".join(f"{value} {phase.lower()}" for phase, value in PROCESS_STATES.items())
        self._process_state = self._gauge("process_state", f"Where the service is: {legend}.", "service")
        self._service_state = self._gauge("service_state", "1 for the phase the service is in.", "service", "phase")
        self._ready = self._gauge("service_ready", "1 if the service answers.", "service")
        self._generation_info = self._gauge(
            "generation_info", "1 for each living generation.", "service", "generation", "pid", "role"
        )
        self._alive = self._gauge("generations_alive", "How many generations live.", "service")
        self._weight = self._gauge("generation_weight_percent", "Share of new connections.", "service", "generation")
        self._memory = self._gauge(
            "generation_memory_bytes", "Resident memory of the generation's processes.", "service", "generation"
        )
        self._backlog = self._gauge(
            "listener_backlog", "Connections waiting to be accepted (tcpi_unacked).", "service", "socket"
        )

    def _define_handovers(self) -> None:
        self._handover_seconds = self._histogram(
            "handover_duration_seconds", "From the request to the verdict.", _SECONDS, "service", "result"
        )
        self._reloads = self._counter("reload", "Reloads by verdict.", "service", "result", "phase")
        self._phase_seconds = self._histogram(
            "reload_phase_seconds", "Time in each phase of a reload.", _PHASE_SECONDS, "service", "phase"
        )
        self._handoff_bytes = self._histogram("handoff_bytes", "State moved by a handover.", _BYTES, "service")
        self._blackout_seconds = self._histogram(
            "handoff_blackout_seconds", "Time in which nobody accepted.", _BLACKOUT_SECONDS, "service"
        )
        self._rollbacks = self._counter("rollbacks", "New generations sent away.", "service", "reason")
        self._soak_probes = self._counter("soak_probe", "Probes of new generations.", "service", "result")
        self._health_probes = self._counter("health_probe", "Probes of serving generations.", "service", "result")

    def _define_counts(self) -> None:
        self._restarts = self._counter("restarts", "Processes started again.", "service", "reason")
        self._stragglers = self._counter("stragglers", "Late connections passed on.", "service")
        self._overflows = self._counter("accept_queue_overflow", "Connections that found a full queue.", "service")
        self._orphans_reaped = Counter(
            "aeterna_orphans_reaped", "Processes of others that were reaped.", registry=self._registry
        )
        self._log_lines = self._counter("log_lines", "Lines the services wrote.", "service", "stream")
        self._lines_dropped = self._counter("log_lines_dropped", "Lines nobody was quick enough for.", "service")
        self._operations = self._counter("operations", "Operations asked for.", "verb", "result")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"aeterna_{name}", text, labels, registry=self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"aeterna_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"aeterna_{name}", text, labels, buckets=buckets, registry=self._registry)


def kind_of(reason: str) -> str:
    """The reason without its details: ``unhealthy: GET /health: 503`` and ``died(code 1)`` lose what varies."""
    return reason.partition("(")[0].partition(":")[0].strip()[:_REASON_CHARS_MAX] or "unknown"
