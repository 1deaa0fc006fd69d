"""The keys of a configuration: what each is called, what it takes, what it means when it is left out.

Only the shape is decided here, key by key; what keys mean together is decided in `building`. The reader, the reference
page, the schema for editors and the hints for misspelled keys all go by this file.
"""

# No `from __future__ import annotations`: the keys are read from the annotations, which must be values.
from enum import StrEnum
from typing import Annotated, Any

from aeterna.config import spec
from aeterna.config.addresses import Address
from aeterna.config.shapes import Anything, Key, ListOf, MappingOf, Section, Sub
from aeterna.config.values import (
    CONTROL_ADDRESS,
    CPUS,
    DURATION,
    FILE_PATH,
    LISTEN,
    METRICS_ADDRESS,
    OS_SIGNAL,
    PATTERN,
    PERCENTAGES,
    PERMISSIONS,
    POSITIVE_DURATION,
    RESTART,
    SIZE,
    TEST,
    TEXT,
    TRUTH,
    URL,
    WORDS,
    choice,
    fraction,
    whole,
)


class LogLevel(StrEnum):
    """How much the supervisor tells."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    TEXT = "text"
    JSON = "json"


class Digest(StrEnum):
    """How a snapshot proves that it arrived whole."""

    XXH3 = "xxh3-128"
    SHA256 = "sha256"


_SOCKET = spec.SocketSpec(name="", family="")
_CHECK = spec.CheckSpec(name="", command=())
_PROBE = spec.ProbeSpec(kind=spec.ProbeKind.TCP)
_STARTUP = spec.StartupSpec()
_CANARY = spec.CanarySpec()
_DRAIN = spec.DrainSpec()
_STATE = spec.StateSpec()
_RESTART = spec.RestartSpec()
_LOG = spec.LogSpec()
_SERVICE = spec.ServiceSpec(name="", command=())


class Socket(Section, frozen=True, kw_only=True):
    """A listening socket that the supervisor holds; an address alone is short for ``listen``."""

    listen: Annotated[
        Address,
        Key(
            LISTEN,
            'where to listen: `"HOST:PORT"`, `"[::]:PORT"`, `":PORT"` or a port alone (all addresses of IPv4), '
            '`"unix:PATH"`; port 0 takes one that is free',
        ),
    ]
    backlog: Annotated[
        int, Key(whole(1, 65535, "a number of connections"), "connections that may wait to be accepted")
    ] = _SOCKET.backlog
    nodelay: Annotated[bool, Key(TRUTH, "send small answers at once (`TCP_NODELAY`)")] = True
    mode: Annotated[int, Key(PERMISSIONS, "permissions of a Unix socket, in octal digits")] = _SOCKET.permissions


class Command(Section, frozen=True, kw_only=True):
    """A command that is run beside the service; a list of words or a text alone is short for ``command``."""

    command: Annotated[
        tuple[str, ...], Key(WORDS, "the program and its arguments, as a list, or a text that is split as in a shell")
    ]
    name: Annotated[str, Key(TEXT, "what it is called in messages; the program's name if left out")] = ""
    timeout: Annotated[int, Key(POSITIVE_DURATION, "after this it is killed and counts as failed")] = _CHECK.timeout_ms


class PreFlight(Command, frozen=True, kw_only=True):
    """A command that must succeed before a release goes live."""

    block_on_fail: Annotated[bool, Key(TRUTH, "whether the release is stopped when it fails")] = _CHECK.block_on_fail


class PostProcess(Section, frozen=True, kw_only=True):
    """Commands that run when a reload has ended; they change nothing about its result."""

    on_success: Annotated[
        tuple[Command, ...], Key(ListOf(Sub(Command, "command")), "run when the new generation has taken over")
    ] = ()
    on_failure: Annotated[
        tuple[Command, ...], Key(ListOf(Sub(Command, "command")), "run when the reload was aborted or rolled back")
    ] = ()


class HealthCheck(Section, frozen=True, kw_only=True):
    """How a service is asked whether it is well; exactly one of http_get, tcp, exec and test says how."""

    http_get: Annotated[
        str | None, Key(URL, "a page that must answer with 2xx or 3xx: a path on the first TCP socket, or a URL")
    ] = None
    tcp: Annotated[str | None, Key(TEXT, "an address that must accept a connection; `true`: the first TCP socket")] = (
        None
    )
    exec: Annotated[tuple[str, ...] | None, Key(WORDS, "a command that must end with 0")] = None
    command: Annotated[tuple[str, ...] | None, Key(WORDS, "another name of `exec`")] = None
    test: Annotated[
        tuple[str, ...] | None,
        Key(TEST, 'as in compose: `["CMD", ...]`, `["CMD-SHELL", "..."]`, a shell command, or `["NONE"]`'),
    ] = None
    interval: Annotated[int, Key(POSITIVE_DURATION, "time from one question to the next")] = _PROBE.interval_ms
    timeout: Annotated[int, Key(POSITIVE_DURATION, "an answer that takes longer is a failure")] = _PROBE.timeout_ms
    retries: Annotated[
        int, Key(whole(1, 1_000, "a number of failures in a row"), "failures in a row that make the verdict")
    ] = _PROBE.retries
    start_period: Annotated[int, Key(DURATION, "time after the start in which failures do not count")] = (
        _PROBE.start_period_ms
    )
    start_interval: Annotated[
        int | None, Key(DURATION, "accepted, not used: while it starts it is asked every `interval`")
    ] = None


class Startup(Section, frozen=True, kw_only=True):
    """When a new process counts as ready."""

    ready: Annotated[
        spec.ReadyBy,
        Key(
            choice(spec.ReadyBy),
            "what says so: `notify` (sd_notify), `probe`, `delay`, `log`; `auto` takes the first that there is",
        ),
    ] = _STARTUP.ready
    warmup_delay: Annotated[int, Key(DURATION, "it is not ready before this")] = _STARTUP.warmup_ms
    timeout: Annotated[int, Key(POSITIVE_DURATION, "a process that is not ready by then has failed")] = (
        _STARTUP.timeout_ms
    )
    log_pattern: Annotated[
        str, Key(PATTERN, "with `ready: log`: a line that matches this regular expression says so")
    ] = ""


class Canary(Section, frozen=True, kw_only=True):
    """How the new generation is watched before the old one goes."""

    enabled: Annotated[bool, Key(TRUTH, "`false`: no time of watching (better said with `strategy: immediate`)")] = True
    weights: Annotated[
        tuple[int, ...] | None,
        Key(PERCENTAGES, "rising percentages of new connections that the new generation gets", [100]),
    ] = None
    steps: Annotated[tuple[int, ...] | None, Key(PERCENTAGES, "another name of `weights`")] = None
    step_time: Annotated[int | None, Key(DURATION, "time at each weight below 100", "30s")] = None
    soak_time: Annotated[int | None, Key(DURATION, "time at 100 with the old generation standing by", "30s")] = None
    health_check: Annotated[
        HealthCheck | None, Key(Sub(HealthCheck), "must pass throughout; `healthcheck` of the service if left out")
    ] = None
    error_rate_max: Annotated[
        float,
        Key(
            fraction(0, 1, "a share of failed probes"),
            "share of failed probes (0.05 or 5%) above which the new generation is bad; 0: no such rule",
        ),
    ] = _CANARY.error_rate_max
    latency_max: Annotated[
        int, Key(DURATION, "99th percentile of the probes above which it is bad; 0: no such rule")
    ] = 0
    samples_min: Annotated[int, Key(whole(1, 1000000, "a number of probes"), "probes before these two rules apply")] = (
        _CANARY.samples_min
    )


class WsClose(Section, frozen=True, kw_only=True):
    """How WebSockets of the old generation are closed."""

    code: Annotated[int, Key(whole(1000, 4999, "a close code"), "close code")] = _DRAIN.ws_close_code
    spread: Annotated[int, Key(DURATION, "time over which the closing is spread")] = _DRAIN.ws_close_spread_ms


class Drain(Section, frozen=True, kw_only=True):
    """How the old generation leaves."""

    lame_duck: Annotated[int, Key(DURATION, "time in which it still answers, with `Connection: close`")] = (
        _DRAIN.lame_duck_ms
    )
    timeout: Annotated[int, Key(DURATION, "after this it is killed")] = _DRAIN.timeout_ms
    ws_close: Annotated[WsClose, Key(Sub(WsClose), "WebSockets")] = WsClose()
    max_generations: Annotated[
        int,
        Key(whole(2, 16, "a number of generations"), "generations that may live at once, the draining ones among them"),
    ] = _DRAIN.generations_max


class StateHandoff(Section, frozen=True, kw_only=True):
    """How memory moves from the old generation to the new one."""

    enabled: Annotated[bool | None, Key(TRUTH, "whether it moves", False)] = None
    mode: Annotated[
        spec.StateMode | None,
        Key(
            choice(spec.StateMode),
            "`exclusive`: one generation may change it at a time; `shared`: it is a cache, both may",
            "exclusive",
        ),
    ] = None
    socket_path: Annotated[
        str, Key(FILE_PATH, "the socket of the State Relay Protocol; in the runtime directory if left out")
    ] = ""
    timeout: Annotated[int, Key(POSITIVE_DURATION, "longest wait for the old generation's memory")] = _STATE.timeout_ms
    blackout_max: Annotated[int, Key(POSITIVE_DURATION, "longest time in which nobody accepts connections")] = (
        _STATE.blackout_ms_max
    )
    max_bytes: Annotated[int, Key(SIZE, "a larger snapshot is refused")] = _STATE.bytes_max
    on_missing: Annotated[
        spec.WithoutState,
        Key(
            choice(spec.WithoutState), "the old generation has or gives none: `cold` goes on without, `abort` gives up"
        ),
    ] = _STATE.on_missing
    on_incompatible: Annotated[
        spec.WithoutState, Key(choice(spec.WithoutState), "the new generation cannot read it: likewise")
    ] = _STATE.on_incompatible
    rollback: Annotated[
        spec.RollbackState,
        Key(
            choice(spec.RollbackState),
            "what the new generation changed before a rollback: `frozen` loses it, `reverse` and `journal` keep it",
        ),
    ] = _STATE.rollback
    keep_snapshot: Annotated[int, Key(DURATION, "how long the snapshot is kept after a success")] = (
        _STATE.keep_snapshot_ms
    )
    digest: Annotated[Digest, Key(choice(Digest), "how the snapshot is verified")] = Digest.XXH3


class Reload(Section, frozen=True, kw_only=True):
    """What happens to reloads that meet."""

    on_conflict: Annotated[
        spec.OnConflict,
        Key(choice(spec.OnConflict), "a reload during a reload: `reject` it, or run one after this one (`coalesce`)"),
    ] = _SERVICE.on_conflict


class Orchestration(Section, frozen=True, kw_only=True):
    """How a new generation replaces the old one."""

    strategy: Annotated[
        spec.Strategy,
        Key(
            choice(spec.Strategy, {"hot-relay": spec.Strategy.CANARY}),
            "`canary` watches the new generation before the old one goes, `immediate` does not",
        ),
    ] = _SERVICE.strategy
    overlap: Annotated[
        spec.Overlap,
        Key(
            choice(spec.Overlap),
            "whether both may run at once: `overlap`, `stop-first`; `auto`: if the supervisor holds its sockets",
        ),
    ] = _SERVICE.overlap
    pre_flight: Annotated[
        tuple[PreFlight, ...],
        Key(ListOf(Sub(PreFlight, "command")), "commands that must succeed before anything is touched"),
    ] = ()
    startup: Annotated[Startup, Key(Sub(Startup), "when a new process counts as ready")] = Startup()
    canary: Annotated[Canary, Key(Sub(Canary), "how it is watched")] = Canary()
    drain: Annotated[Drain, Key(Sub(Drain), "how the old generation leaves")] = Drain()
    state_handoff: Annotated[StateHandoff, Key(Sub(StateHandoff), "how memory moves")] = StateHandoff()
    post_process: Annotated[PostProcess, Key(Sub(PostProcess), "commands that run afterwards")] = PostProcess()
    reload: Annotated[Reload, Key(Sub(Reload), "reloads that meet")] = Reload()
    soak_time: Annotated[int | None, Key(DURATION, "deprecated name of `canary.soak_time`")] = None


class RestartPolicy(Section, frozen=True, kw_only=True):
    """When and how fast a process that ended is started again."""

    delay: Annotated[int, Key(DURATION, "wait before the second start in a row; the first comes at once")] = (
        _RESTART.delay_ms
    )
    max_delay: Annotated[int, Key(DURATION, "longest wait")] = _RESTART.delay_ms_max
    factor: Annotated[float, Key(fraction(1, 100, "a factor"), "growth of the wait")] = _RESTART.factor
    jitter: Annotated[float, Key(fraction(0, 1, "a share"), "share of the wait that is random")] = _RESTART.jitter
    window: Annotated[int, Key(DURATION, "`max_attempts` deaths within this are a crash loop")] = _RESTART.window_ms
    max_attempts: Annotated[
        int | None,
        Key(
            whole(0, 10000, "a number of deaths"),
            "deaths that are a crash loop; 0: never give up",
            _RESTART.attempts_max,
        ),
    ] = None
    reset_after: Annotated[int, Key(DURATION, "running that long makes the next death a first one")] = _RESTART.reset_ms


class Limits(Section, frozen=True, kw_only=True):
    """Bounds on one process and its children."""

    memory: Annotated[int | None, Key(SIZE, "resident memory")] = None
    cpus: Annotated[float | None, Key(fraction(0.01, 4096, "a number of processors"), "processors, like 1.5")] = None
    nofile: Annotated[int | None, Key(whole(16, 2**30, "a number of files"), "open files")] = None
    nice: Annotated[int | None, Key(whole(-20, 19, "a priority"), "scheduling priority; lower is first")] = None
    affinity: Annotated[tuple[int, ...] | None, Key(CPUS, 'processors it may use, like `[0, 1]` or `"0-3"`')] = None


class ServiceKeys(Section, frozen=True, kw_only=True):
    """What a service has beside its command. With `service:` these keys stand at the top level."""

    sockets: Annotated[
        dict[str, Socket] | None,
        Key(MappingOf(Sub(Socket, "listen")), "the sockets that the supervisor holds, by name"),
    ] = None
    orchestration: Annotated[Orchestration, Key(Sub(Orchestration), "how a new generation replaces the old one")] = (
        Orchestration()
    )
    restart: Annotated[
        tuple[spec.RestartRule, int | None] | None,
        Key(RESTART, "`no`, `always`, `on-failure`, `on-failure:5` or `unless-stopped`", "always"),
    ] = None
    restart_policy: Annotated[RestartPolicy, Key(Sub(RestartPolicy), "how fast it is started again")] = RestartPolicy()
    healthcheck: Annotated[
        HealthCheck | None, Key(Sub(HealthCheck), "asked while the service runs; a bad verdict restarts it")
    ] = None
    limits: Annotated[Limits, Key(Sub(Limits), "bounds on one process and its children")] = Limits()
    mem_limit: Annotated[int | None, Key(SIZE, "compose's name of `limits.memory`")] = None
    cpus: Annotated[
        float | None, Key(fraction(0.01, 4096, "a number of processors"), "compose's name of `limits.cpus`")
    ] = None
    watchdog: Annotated[int, Key(DURATION, "it must send `WATCHDOG=1` at least this often; 0: need not")] = (
        _SERVICE.watchdog_ms
    )
    stop_signal: Annotated[int, Key(OS_SIGNAL, "asks it to end")] = _SERVICE.stop_signal
    stop_grace_period: Annotated[int, Key(DURATION, "from that signal to SIGKILL when it is stopped")] = (
        _SERVICE.stop_grace_ms
    )
    success_exit_codes: Annotated[
        tuple[int, ...], Key(ListOf(whole(0, 255, "an exit code")), "codes beside 0 that are no failure")
    ] = ()
    permanent_exit_codes: Annotated[
        tuple[int, ...], Key(ListOf(whole(0, 255, "an exit code")), "codes after which starting again is useless")
    ] = _SERVICE.permanent_exit_codes
    depends_on: Annotated[Any, Key(Anything(), "accepted; the order of starting is not kept yet")] = None
    profiles: Annotated[Any, Key(Anything(), "accepted; every service is started")] = None
    develop: Annotated[Any, Key(Anything(), "accepted; files are not watched")] = None


class Service(ServiceKeys, frozen=True, kw_only=True):
    """One service."""

    name: Annotated[
        str | None, Key(TEXT, "what it is called; letters, digits, `.`, `_` and `-`; the key in `services:`")
    ] = None
    command: Annotated[
        tuple[str, ...] | None,
        Key(WORDS, "the program and its arguments; `{fd:NAME}`, `{port:NAME}` and the like are put in"),
    ] = None
    binary_path: Annotated[str | None, Key(FILE_PATH, "the program, where there is no `command`")] = None
    env: Annotated[
        dict[str, str] | None,
        Key(MappingOf(TEXT, or_list=True), "variables, also as a list of `KEY=VALUE`; `KEY` alone is taken over"),
    ] = None
    environment: Annotated[dict[str, str] | None, Key(MappingOf(TEXT, or_list=True), "compose's name of `env`")] = None
    cwd: Annotated[str | None, Key(FILE_PATH, "directory it runs in; the configuration's own if left out")] = None
    working_dir: Annotated[str | None, Key(FILE_PATH, "compose's name of `cwd`")] = None
    user: Annotated[str | None, Key(TEXT, "user it runs as: a name or number, or `USER:GROUP`")] = None
    group: Annotated[str | None, Key(TEXT, "group it runs as; the user's own if left out")] = None


class Log(Section, frozen=True, kw_only=True):
    """Where the services' output goes."""

    format: Annotated[LogFormat, Key(choice(LogFormat), "`text` or `json`, one line each")] = LogFormat.TEXT
    path: Annotated[str, Key(FILE_PATH, "a file; standard output if left out")] = ""
    max_size: Annotated[int, Key(SIZE, "a larger file is rotated")] = _LOG.bytes_max
    max_files: Annotated[int, Key(whole(1, 1000, "a number of files"), "files that are kept")] = _LOG.files_max


class Observability(Section, frozen=True, kw_only=True):
    """What can be seen from outside."""

    metrics_port: Annotated[
        str,
        Key(
            METRICS_ADDRESS,
            'serves `/metrics` and `/health`: `9091`, `":9091"` (all addresses) or `"127.0.0.1:9091"`; `off`: none',
        ),
    ] = ""
    log_level: Annotated[
        LogLevel, Key(choice(LogLevel, {"warning": LogLevel.WARN}), "how much the supervisor tells")
    ] = LogLevel.INFO
    log: Annotated[Log, Key(Sub(Log), "where output goes")] = Log()


class Control(Section, frozen=True, kw_only=True):
    """The control API beyond its Unix socket."""

    listen: Annotated[
        str, Key(CONTROL_ADDRESS, 'TCP address, like `"127.0.0.1:7235"`; a port alone is on 127.0.0.1; `off`: none')
    ] = ""
    token: Annotated[str, Key(TEXT, "what clients of that address must show; needed with it")] = ""


class Version(StrEnum):
    """The version of these keys."""

    V1 = "v1"


class Document(ServiceKeys, frozen=True, kw_only=True):
    """A whole configuration: `service:` with its keys at the top level, or `services:`."""

    version: Annotated[Version, Key(choice(Version, {"1": Version.V1}), "the version of these keys")] = Version.V1
    service: Annotated[Service | None, Key(Sub(Service), "the one service")] = None
    services: Annotated[
        dict[str, Service] | None,
        Key(MappingOf(Sub(Service), or_list=True), "several services by name, or a list of them"),
    ] = None
    observability: Annotated[Observability, Key(Sub(Observability), "metrics and logs")] = Observability()
    control: Annotated[Control, Key(Sub(Control), "the control API")] = Control()


SERVICE_KEYS = ServiceKeys.__struct_fields__
