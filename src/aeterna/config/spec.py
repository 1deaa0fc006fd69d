"""A checked configuration as records: what the validating process hands to the daemon, as JSON.

Every default is filled in, every duration is in milliseconds, every size in bytes, every path absolute where it has to
be. Nothing here checks anything that `schema` has checked; decoding refuses what has the wrong shape.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct


class Strategy(StrEnum):
    """How a new generation takes over."""

    IMMEDIATE = "immediate"
    CANARY = "canary"


class ReadyBy(StrEnum):
    """What makes a starting generation count as ready; AUTO takes the first that it has."""

    AUTO = "auto"
    NOTIFY = "notify"
    PROBE = "probe"
    DELAY = "delay"
    LOG = "log"


class StateMode(StrEnum):
    """Who may change the state while two generations live: one at a time, or both (the state is a cache)."""

    NONE = "none"
    EXCLUSIVE = "exclusive"
    SHARED = "shared"


class RollbackState(StrEnum):
    """What happens, on a rollback, to changes the new generation has made."""

    FROZEN = "frozen"
    REVERSE = "reverse"
    JOURNAL = "journal"


class WithoutState(StrEnum):
    """What to do when the state cannot be moved: go on without it, or give the reload up."""

    COLD = "cold"
    ABORT = "abort"


class Overlap(StrEnum):
    """Whether the two generations may run at the same time."""

    AUTO = "auto"
    OVERLAP = "overlap"
    STOP_FIRST = "stop-first"


class OnConflict(StrEnum):
    """What happens to a reload that is asked for while one is under way."""

    REJECT = "reject"
    COALESCE = "coalesce"


class RestartRule(StrEnum):
    """When a service that ended is started again, in the words of compose."""

    NO = "no"
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    UNLESS_STOPPED = "unless-stopped"


class ProbeKind(StrEnum):
    """How a probe asks."""

    HTTP = "http"
    TCP = "tcp"
    EXEC = "exec"


class SocketSpec(Struct, frozen=True, kw_only=True):
    """A listening socket that the supervisor holds. ``port`` 0 takes a free one; ``path`` is for Unix sockets."""

    name: str
    family: str  # "tcp4" | "tcp6" | "unix"
    host: str = ""
    port: int = 0
    path: str = ""
    backlog: int = 4096
    nodelay: bool = True
    permissions: int = 0o666


class CheckSpec(Struct, frozen=True, kw_only=True):
    """A command that must succeed before a release goes live (or a hook that runs after)."""

    name: str
    command: tuple[str, ...]
    timeout_ms: int = 30_000
    block_on_fail: bool = True


class ProbeSpec(Struct, frozen=True, kw_only=True):
    """A health probe. ``url``: absolute, or a path on the service's first TCP socket; ``retries``: failures in a row
    that make the verdict."""

    kind: ProbeKind
    url: str = ""
    address: str = ""
    command: tuple[str, ...] = ()
    interval_ms: int = 5_000
    timeout_ms: int = 2_000
    retries: int = 3
    start_period_ms: int = 0


class StartupSpec(Struct, frozen=True, kw_only=True):
    """When a started process counts as ready."""

    ready: ReadyBy = ReadyBy.AUTO
    warmup_ms: int = 0
    timeout_ms: int = 300_000
    log_pattern: str = ""


class CanarySpec(Struct, frozen=True, kw_only=True):
    """How the new generation is watched. ``weights`` are percent of new connections; ``soak_ms`` is the time at 100."""

    weights: tuple[int, ...] = (100,)
    step_ms: int = 0
    soak_ms: int = 30_000
    probe: ProbeSpec | None = None
    error_rate_max: float = 0.0
    """Share of failed probes, 0 to 1, above which a step fails once it has ``samples_min``; 0: no such rule."""
    latency_ms_max: int = 0
    """p99 of the probes above which a step fails once it has ``samples_min``; 0: no such rule."""
    samples_min: int = 5


class DrainSpec(Struct, frozen=True, kw_only=True):
    """How the old generation leaves."""

    lame_duck_ms: int = 1_000
    timeout_ms: int = 30_000
    ws_close_code: int = 1012
    ws_close_spread_ms: int = 5_000
    generations_max: int = 2


class StateSpec(Struct, frozen=True, kw_only=True):
    """How memory moves."""

    mode: StateMode = StateMode.NONE
    socket_path: str = ""
    timeout_ms: int = 5_000
    blackout_ms_max: int = 2_000
    bytes_max: int = 8 * 1024**3
    on_missing: WithoutState = WithoutState.COLD
    on_incompatible: WithoutState = WithoutState.ABORT
    rollback: RollbackState = RollbackState.FROZEN
    keep_snapshot_ms: int = 60_000
    digest: str = "xxh3-128"


class RestartSpec(Struct, frozen=True, kw_only=True):
    """When and how fast a process that died is started again."""

    rule: RestartRule = RestartRule.ALWAYS
    delay_ms: int = 100
    delay_ms_max: int = 30_000
    factor: float = 2.0
    jitter: float = 0.2
    window_ms: int = 60_000
    attempts_max: int = 5
    """Deaths within ``window_ms`` that make a crash loop; 0: never give up."""
    reset_ms: int = 10_000
    """Running that long makes the next death a first one."""


class LimitsSpec(Struct, frozen=True, kw_only=True):
    """Bounds on one instance; 0 or empty: none."""

    memory_bytes: int = 0
    cpus: float = 0.0
    nofile: int = 0
    nice: int = 0
    affinity: tuple[int, ...] = ()


class ServiceSpec(Struct, frozen=True, kw_only=True):
    """One service."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = ""
    user: str = ""
    group: str = ""
    sockets: tuple[SocketSpec, ...] = ()
    strategy: Strategy = Strategy.CANARY
    overlap: Overlap = Overlap.AUTO
    on_conflict: OnConflict = OnConflict.REJECT
    pre_flight: tuple[CheckSpec, ...] = ()
    startup: StartupSpec = StartupSpec()
    canary: CanarySpec = CanarySpec()
    drain: DrainSpec = DrainSpec()
    state: StateSpec = StateSpec()
    on_success: tuple[CheckSpec, ...] = ()
    on_failure: tuple[CheckSpec, ...] = ()
    health: ProbeSpec | None = None
    """Asked while the service runs; a verdict of failed restarts it."""
    watchdog_ms: int = 0
    restart: RestartSpec = RestartSpec()
    limits: LimitsSpec = LimitsSpec()
    stop_signal: int = 15
    stop_grace_ms: int = 10_000
    success_exit_codes: tuple[int, ...] = ()
    permanent_exit_codes: tuple[int, ...] = (3,)
    """Codes that mean "cannot start": uvicorn's and gunicorn's 3."""


class LogSpec(Struct, frozen=True, kw_only=True):
    """Where the services' output goes. ``path`` empty: standard output only."""

    level: str = "info"
    format: str = "text"  # "text" | "json"
    path: str = ""
    bytes_max: int = 64 * 1024**2
    files_max: int = 5


class ControlSpec(Struct, frozen=True, kw_only=True):
    """The control API beyond its Unix socket. ``listen`` empty: no TCP; ``token`` is needed with TCP."""

    listen: str = ""
    token: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """A whole configuration. ``source``: its file; ``warnings``: one line each, for people."""

    source: str
    services: tuple[ServiceSpec, ...]
    metrics_listen: str = ""
    """``HOST:PORT`` of `/metrics` and `/health`; empty: none."""
    log: LogSpec = LogSpec()
    control: ControlSpec = ControlSpec()
    warnings: tuple[str, ...] = ()


def encode(plan: Plan) -> bytes:
    """The plan as JSON."""
    return msgspec.json.encode(plan)


def decode(text: bytes) -> Plan:
    """The plan of that JSON; raises `msgspec.ValidationError` if its shape is wrong."""
    return msgspec.json.decode(text, type=Plan)


def fingerprint(service: ServiceSpec) -> str:
    """A text that is equal for two services that are configured alike, for noticing that nothing changed."""
    return msgspec.json.encode(service, order="deterministic").decode()


def to_plain(spec: Struct) -> Any:
    """The record as dicts, lists and numbers, for showing it."""
    return msgspec.to_builtins(spec)
