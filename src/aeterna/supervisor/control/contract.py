"""What the control API asks of the supervisor: the protocol `Supervision`, and the records that pass between the two.

The API knows nothing of processes, sockets and the handover table; the supervisor knows nothing of HTTP. Every document
is plain JSON. The invariant that all waiting rests on: an event is published *after* what it tells can be read in the
documents, so "read, then wait for a later event, then read again" misses nothing.

`routes` implements every wait (``?wait=SECONDS``) and the event stream with `Supervision.events` alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NotRequired, Protocol, TypedDict

from aeterna.supervisor.control.events import EventRing
from aeterna.supervisor.core.vocabulary import State


class Verb(StrEnum):
    """What can be asked of a service. STOP without a service means the whole supervisor."""

    RELOAD = "reload"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    CANARY = "canary"
    STOP = "stop"
    RESTART = "restart"


class Answer(IntEnum):
    """How an order was taken; the numbers are HTTP's."""

    ACCEPTED = 202
    BAD = 400
    """It makes no sense for this service: a weight without a handover, a strategy it cannot have."""
    NOT_FOUND = 404
    CONFLICT = 409
    """Something else is under way, or the state does not allow it; ``detail`` says what."""
    INVALID = 422
    """The configuration cannot be used; ``detail`` holds the mistakes as they are shown to people."""
    UNAVAILABLE = 503
    """The supervisor itself is starting, being replaced or stopping."""


class ReloadResult(StrEnum):
    """The verdict on a reload."""

    SUCCEEDED = "succeeded"
    SUCCEEDED_COLD = "succeeded_cold"
    """The new generation serves, but without the memory of the old one."""
    UNCHANGED = "unchanged"
    """Nothing had changed, and the reload was not forced."""
    CONFIG_INVALID = "config_invalid"
    PREFLIGHT_FAILED = "preflight_failed"
    START_FAILED = "start_failed"
    HANDOFF_FAILED = "handoff_failed"
    ROLLED_BACK = "rolled_back"
    """The soak failed or an operator asked for it; the old generation serves, with its memory."""
    DEGRADED = "degraded"
    """Gone back, but to a process that had to be started anew."""
    CANCELLED = "cancelled"


_STARTING = (State.VACATE, State.SPAWN, State.WARMING)
_HANDING_OFF = (State.PRECOPY, State.QUIESCE, State.SNAPSHOT, State.RESTORE, State.COMMIT)
_ABORTED_IN = {
    State.PREFLIGHT: ReloadResult.PREFLIGHT_FAILED,
    **dict.fromkeys(_STARTING, ReloadResult.START_FAILED),
    **dict.fromkeys(_HANDING_OFF, ReloadResult.HANDOFF_FAILED),
}


def result_of_failure(state: State) -> ReloadResult:
    """The verdict on a reload that failed in ``state`` and went back to the old generation."""
    return _ABORTED_IN.get(state, ReloadResult.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: ``pid`` and ``uid`` of a peer on the Unix socket; -1 for one on TCP, named by its ``address``."""

    uid: int = -1
    pid: int = -1
    address: str = ""

    def __str__(self) -> str:
        return f"token@{self.address}" if self.uid < 0 else f"uid={self.uid} pid={self.pid}"


@dataclass(frozen=True, slots=True)
class Order:
    """One operation. ``service`` is a name that exists, or None: the only service, or for STOP the whole supervisor.

    ``weight``: percent of new connections, with CANARY; ``is_forced``: RELOAD although nothing changed;
    ``strategy``: for this one reload, empty for the configured one; ``reason``: a text for the report.
    """

    verb: Verb
    service: str | None
    caller: Caller
    reason: str = ""
    is_forced: bool = False
    strategy: str = ""
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an order was taken. ``body`` joins the answer. It has the ``id`` of the reload to wait for if there is one:
    the one a RELOAD or ROLLBACK has begun, the one that PROMOTE or ROLLBACK ends, in a CONFLICT the one under way."""

    answer: Answer
    detail: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audit:
    """One operation for the audit log: who asked for what, and how it was taken."""

    at_us: int
    caller: Caller
    verb: Verb
    service: str | None
    answer: Answer
    detail: str

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.caller} {self.verb} {self.service or '*'}: {self.answer.name.lower()}{detail}"


class GenerationDocument(TypedDict):
    """One living generation. ``role``: ``active``, ``candidate``, ``standby`` or ``draining``."""

    generation: int
    pid: int | None
    role: str
    weight: int
    """Percent of the new connections."""
    uptime_s: float
    memory_bytes: int | None


class HandoverSummary(TypedDict):
    """The last handover. ``status`` is a `ReloadResult`; ``timestamp`` ISO 8601 in UTC."""

    id: str
    status: str
    reason: str
    timestamp: str
    size_bytes: int
    duration_ms: float


class ServiceDocument(TypedDict):
    """What ``GET /v1/services/NAME`` answers."""

    name: str
    state: str
    """A `State`; ``phase`` is the public word for it."""
    phase: str
    is_ready: bool
    generation: int
    """The one that serves; 0 for none."""
    pid: int | None
    old_pid: int | None
    """During a handover, the process that is being replaced."""
    uptime_s: float | None
    restarts: int
    """Since the supervisor started; reloads do not count."""
    weight: int
    """Percent of new connections that the newest generation gets."""
    lease: int
    memory_bytes: int | None
    strategy: str
    detail: str
    """One line for people: why it failed, how long it backs off, what the application says of itself."""
    last_exit: str
    """How the last process ended that was not told to: ``exit code 3``, ``killed by SIGSEGV``, ``out of memory: …``;
    empty if none has."""
    last_exit_at: str | None
    last_words: list[str]
    """The last lines that process wrote."""
    sockets: dict[str, str]
    """Name to address of each listener."""
    generations: list[GenerationDocument]
    reload: str | None
    """The id of the reload under way."""
    last_handover: HandoverSummary | None


class StatusDocument(TypedDict):
    """What ``GET /v1/status`` answers; the first five are those of the one service, or of the first of several."""

    fsm_state: str
    """The public phase."""
    current_pid: int | None
    old_pid: int | None
    uptime: float
    """Seconds since the supervisor started; being replaced in place is no start."""
    last_handover: HandoverSummary | None
    version: str
    config: str
    daemon_pid: int
    keeper_pid: int
    started_at: str
    is_ready: bool
    """Every service that should run is ready."""
    warnings: list[str]
    services: list[ServiceDocument]


class PhaseDocument(TypedDict):
    """One phase of a reload; ``duration_ms`` is None while it lasts."""

    phase: str
    started_ms: float
    """After the reload began."""
    duration_ms: float | None
    detail: NotRequired[str]
    """``weight 25``, ``3 of 5 probes``."""


class ReloadReport(TypedDict):
    """What ``GET /v1/reloads/ID`` answers. ``result`` is None while it is under way, else a `ReloadResult`."""

    id: str
    service: str
    result: str | None
    reason: str
    from_generation: int
    to_generation: int
    started_at: str
    finished_at: str | None
    duration_ms: float
    phases: list[PhaseDocument]
    state_bytes: int
    blackout_ms: float
    """How long nobody accepted."""
    requested_by: str
    tail: list[str]
    """The last lines of the generation that failed."""


class Supervision(Protocol):
    """The supervisor, as its control API sees it. All methods run on the event loop's thread; only `request` waits."""

    @property
    def events(self) -> EventRing:
        """Where the supervisor publishes. ``data`` has ``service`` and, in a handover, ``reload`` (its id)."""
        ...

    def is_live(self) -> bool:
        """The supervisor works; false while it stops."""
        ...

    def is_ready(self) -> bool:
        """Every service that should run is ready."""
        ...

    def status(self) -> StatusDocument:
        """The document of the whole."""
        ...

    def service_names(self) -> tuple[str, ...]:
        """The services, in the order of the configuration."""
        ...

    def service(self, name: str) -> ServiceDocument | None:
        """The document of one service; None if there is none of that name."""
        ...

    def reload_report(self, reload_id: str) -> ReloadReport | None:
        """The report of a reload under way or a past one; None for an unknown or forgotten id."""
        ...

    def reload_ids(self) -> tuple[str, ...]:
        """The reloads that have a report, oldest first."""
        ...

    async def request(self, order: Order) -> Outcome:
        """Take an order: answers as soon as it is known whether it will be carried out, not when it has been."""
        ...

    def logs(self, service: str | None, lines: int, *, is_following: bool) -> AsyncIterator[Mapping[str, Any]]:
        """The last ``lines`` log lines of a service (None: of all) as `LogDocument`, oldest first, and then, if
        following, each new one. The iterator is an async generator: closing it ends the subscription."""
        ...

    def metrics(self) -> bytes:
        """Everything measured, in the text format of Prometheus."""
        ...


class LogDocument(TypedDict):
    """One log line. ``at`` is ISO 8601 in UTC; ``stream``: ``stdout`` or ``stderr``."""

    at: str
    service: str
    generation: int
    stream: str
    text: str
