"""A plan written back with the keys and in the words of a configuration: what is in force, defaults included.

Reading what this writes gives the same plan, so nothing that is in force can be missing from it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from aeterna.config.addresses import Address
from aeterna.config.durations import format_duration
from aeterna.config.mistakes import MASK, is_secret, without_passwords
from aeterna.config.sizes import format_size
from aeterna.config.spec import (
    CanarySpec,
    CheckSpec,
    DrainSpec,
    LimitsSpec,
    Plan,
    ProbeKind,
    ProbeSpec,
    RestartSpec,
    ServiceSpec,
    SocketSpec,
    StartupSpec,
    StateMode,
    StateSpec,
    Strategy,
)

Entries = dict[str, Any]
"""Keys to texts, numbers, lists and further entries."""


def document_of(plan: Plan) -> Entries:
    """The configuration that says in full what the plan does. Secrets are in it: see `masked_document`."""
    document: Entries = {"version": "v1"}
    if len(plan.services) == 1:
        document["service"] = {"name": plan.services[0].name, **_head(plan.services[0])}
        document |= _body(plan.services[0])
    else:
        document["services"] = {service.name: _head(service) | _body(service) for service in plan.services}
    log = plan.log
    document["observability"] = {
        "metrics_port": plan.metrics_listen or "off",
        "log_level": log.level,
        "log": _without_empty(
            {"format": log.format, "path": log.path, "max_size": format_size(log.bytes_max), "max_files": log.files_max}
        ),
    }
    if plan.control.listen:
        document["control"] = {"listen": plan.control.listen, "token": plan.control.token}
    return document


def masked_document(entries: Mapping[str, Any]) -> Entries:
    """The same with stars for secrets: values of variables and keys that are named like one, passwords in URLs."""
    return {key: MASK if is_secret(key) and _is_text(value) else _masked(value) for key, value in entries.items()}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return masked_document(value)
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return without_passwords(value) if isinstance(value, str) else value


def _head(service: ServiceSpec) -> Entries:
    identity = {"user": service.user, "group": service.group}
    return {
        "command": list(service.command),
        "env": dict(service.env),
        "cwd": service.cwd,
        **_without_empty(identity),
    }


def _body(service: ServiceSpec) -> Entries:
    found: Entries = {
        "sockets": {socket.name: _socket(socket) for socket in service.sockets},
        "orchestration": _orchestration(service),
        **_restart(service.restart),
    }
    if service.health is not None:
        found["healthcheck"] = _probe(service.health)
    return found | {
        "limits": _limits(service.limits),
        "watchdog": format_duration(service.watchdog_ms),
        "stop_signal": signal.Signals(service.stop_signal).name,
        "stop_grace_period": format_duration(service.stop_grace_ms),
        "success_exit_codes": list(service.success_exit_codes),
        "permanent_exit_codes": list(service.permanent_exit_codes),
    }


def _socket(socket: SocketSpec) -> Entries:
    found: Entries = {
        "listen": str(Address(socket.family, socket.host, socket.port, socket.path)),
        "backlog": socket.backlog,
        "nodelay": socket.nodelay,
    }
    return found | ({"mode": f"{socket.permissions:04o}"} if socket.family == "unix" else {})


def _orchestration(service: ServiceSpec) -> Entries:
    return {
        "strategy": str(service.strategy),
        "overlap": str(service.overlap),
        "pre_flight": [_check(check) | {"block_on_fail": check.block_on_fail} for check in service.pre_flight],
        "startup": _startup(service.startup),
        "canary": _canary(service.canary, service.strategy),
        "drain": _drain(service.drain),
        "state_handoff": _state(service.state),
        "post_process": {
            "on_success": [_check(check) for check in service.on_success],
            "on_failure": [_check(check) for check in service.on_failure],
        },
        "reload": {"on_conflict": str(service.on_conflict)},
    }


def _check(check: CheckSpec) -> Entries:
    return {"name": check.name, "command": list(check.command), "timeout": format_duration(check.timeout_ms)}


def _startup(startup: StartupSpec) -> Entries:
    return {
        "ready": str(startup.ready),
        "warmup_delay": format_duration(startup.warmup_ms),
        "timeout": format_duration(startup.timeout_ms),
        **_without_empty({"log_pattern": startup.log_pattern}),
    }


def _canary(canary: CanarySpec, strategy: Strategy) -> Entries:
    found: Entries = {}
    if strategy is Strategy.CANARY:
        found["weights"] = list(canary.weights)
        if len(canary.weights) > 1:
            found["step_time"] = format_duration(canary.step_ms)
        found["soak_time"] = format_duration(canary.soak_ms)
    if canary.probe is not None:
        found["health_check"] = _probe(canary.probe)
    if strategy is Strategy.CANARY:
        found["error_rate_max"] = canary.error_rate_max
        found["latency_max"] = format_duration(canary.latency_ms_max)
        found["samples_min"] = canary.samples_min
    return found


def _probe(probe: ProbeSpec) -> Entries:
    way: Entries
    match probe.kind:
        case ProbeKind.HTTP:
            way = {"http_get": probe.url}
        case ProbeKind.TCP:
            way = {"tcp": probe.address or "true"}
        case ProbeKind.EXEC:
            way = {"exec": list(probe.command)}
    return way | {
        "interval": format_duration(probe.interval_ms),
        "timeout": format_duration(probe.timeout_ms),
        "retries": probe.retries,
        "start_period": format_duration(probe.start_period_ms),
    }


def _drain(drain: DrainSpec) -> Entries:
    return {
        "lame_duck": format_duration(drain.lame_duck_ms),
        "timeout": format_duration(drain.timeout_ms),
        "ws_close": {"code": drain.ws_close_code, "spread": format_duration(drain.ws_close_spread_ms)},
        "max_generations": drain.generations_max,
    }


def _state(state: StateSpec) -> Entries:
    if state.mode is StateMode.NONE:
        return {"enabled": False}
    return {
        "enabled": True,
        "mode": str(state.mode),
        **_without_empty({"socket_path": state.socket_path}),
        "timeout": format_duration(state.timeout_ms),
        "blackout_max": format_duration(state.blackout_ms_max),
        "max_bytes": format_size(state.bytes_max),
        "on_missing": str(state.on_missing),
        "on_incompatible": str(state.on_incompatible),
        "rollback": str(state.rollback),
        "keep_snapshot": format_duration(state.keep_snapshot_ms),
        "digest": state.digest,
    }


def _restart(restart: RestartSpec) -> Entries:
    policy = {
        "delay": format_duration(restart.delay_ms),
        "max_delay": format_duration(restart.delay_ms_max),
        "factor": restart.factor,
        "jitter": restart.jitter,
        "window": format_duration(restart.window_ms),
        "max_attempts": restart.attempts_max,
        "reset_after": format_duration(restart.reset_ms),
    }
    return {"restart": str(restart.rule), "restart_policy": policy}


def _limits(limits: LimitsSpec) -> Entries:
    found: Entries = {"memory": format_size(limits.memory_bytes)} if limits.memory_bytes else {}
    numbers = {"cpus": limits.cpus, "nofile": limits.nofile, "nice": limits.nice, "affinity": list(limits.affinity)}
    return found | _without_empty(numbers)


def _without_empty(entries: Entries) -> Entries:
    return {key: value for key, value in entries.items() if value}
