"""One service's keys as its record."""

from __future__ import annotations

from pathlib import PurePath

from aeterna.config.building_reload import canary_of, drain_of, startup_of, state_of
from aeterna.config.cross_checks import check_service
from aeterna.config.older import one_of
from aeterna.config.part import Part
from aeterna.config.probing import probe_of
from aeterna.config.schema import Command, PreFlight
from aeterna.config.sockets import NAME, NAME_RULE, check_placeholders, overlap_of, sockets_of
from aeterna.config.spec import CheckSpec, LimitsSpec, RestartRule, RestartSpec, ServiceSpec

_NOT_YET = {
    "depends_on": "accepted, but the order of starting is not kept: services start together",
    "profiles": "accepted, but every service is started",
    "develop": "accepted, but files are not watched",
}


def service_of(part: Part) -> ServiceSpec:
    """The record of the service. With a mistake it is incomplete and must not be used."""
    keys, orchestration = part.keys, part.keys.orchestration
    environment = _environment(part)
    sockets = sockets_of(part, environment)
    command = _command(part)
    check_placeholders(part, command, sockets)
    health = probe_of(part, ("healthcheck",), keys.healthcheck, sockets)
    user, group = _identity(part)
    directory = one_of(part.findings, (part.at("cwd"), keys.cwd), (part.at("working_dir"), keys.working_dir))
    found = ServiceSpec(
        name=_name(part),
        command=command,
        env=dict(environment),
        cwd=part.absolute(directory or "."),
        user=user,
        group=group,
        sockets=sockets,
        strategy=orchestration.strategy,
        overlap=overlap_of(part, sockets),
        on_conflict=orchestration.reload.on_conflict,
        pre_flight=tuple(_check(check) for check in orchestration.pre_flight),
        startup=startup_of(part, health),
        canary=canary_of(part, sockets, health),
        drain=drain_of(orchestration.drain),
        state=state_of(part),
        on_success=tuple(_check(check) for check in orchestration.post_process.on_success),
        on_failure=tuple(_check(check) for check in orchestration.post_process.on_failure),
        health=health,
        watchdog_ms=keys.watchdog,
        restart=_restart(part),
        limits=_limits(part),
        stop_signal=keys.stop_signal,
        stop_grace_ms=keys.stop_grace_period,
        success_exit_codes=keys.success_exit_codes,
        permanent_exit_codes=keys.permanent_exit_codes,
    )
    for key, text in _NOT_YET.items():
        if part.has(key):
            part.warn((key,), text)
    check_service(part, found)
    return found


def _name(part: Part) -> str:
    if not NAME.fullmatch(part.name):
        part.mistake(("name",), f"{part.name!r} is no name of a service", NAME_RULE)
    if part.keys.name not in (None, part.name):
        part.mistake(("name",), f"the service stands below the name {part.name!r}", "that name, or no `name:`")
    return part.name


def _command(part: Part) -> tuple[str, ...]:
    keys = part.keys
    if keys.command is None:
        if keys.binary_path is None:
            part.findings.missing(part.at("command"), 'a list like ["python", "main.py"], or a text')
            return ()
        return (part.absolute(keys.binary_path),)
    if keys.binary_path is not None and keys.binary_path not in keys.command:
        part.warn(("binary_path",), "not used: `command:` says what runs")
    return keys.command


def _environment(part: Part) -> dict[str, str]:
    keys = part.keys
    found = one_of(part.findings, (part.at("env"), keys.env), (part.at("environment"), keys.environment))
    return dict(found or {})


def _identity(part: Part) -> tuple[str, str]:
    """User and group; ``USER:GROUP`` in one text is compose's way."""
    user, colon, group = (part.keys.user or "").partition(":")
    combined = group if colon else None
    return user, one_of(part.findings, (part.at("group"), part.keys.group), (part.at("user"), combined)) or ""


def _check(written: Command) -> CheckSpec:
    return CheckSpec(
        name=written.name or PurePath(written.command[0]).name,
        command=written.command,
        timeout_ms=written.timeout,
        block_on_fail=written.block_on_fail if isinstance(written, PreFlight) else True,
    )


def _restart(part: Part) -> RestartSpec:
    policy = part.keys.restart_policy
    rule, attempts = part.keys.restart or (RestartRule.ALWAYS, None)
    attempts_max = one_of(
        part.findings, (part.at("restart_policy", "max_attempts"), policy.max_attempts), (part.at("restart"), attempts)
    )
    if policy.delay > policy.max_delay:
        part.mistake(("restart_policy", "delay"), "it is longer than max_delay", "a delay that is at most max_delay")
    return RestartSpec(
        rule=rule,
        delay_ms=policy.delay,
        delay_ms_max=policy.max_delay,
        factor=policy.factor,
        jitter=policy.jitter,
        window_ms=policy.window,
        attempts_max=RestartSpec().attempts_max if attempts_max is None else attempts_max,
        reset_ms=policy.reset_after,
    )


def _limits(part: Part) -> LimitsSpec:
    keys, limits = part.keys, part.keys.limits
    memory = one_of(part.findings, (part.at("limits", "memory"), limits.memory), (part.at("mem_limit"), keys.mem_limit))
    cpus = one_of(part.findings, (part.at("limits", "cpus"), limits.cpus), (part.at("cpus"), keys.cpus))
    return LimitsSpec(
        memory_bytes=memory or 0,
        cpus=cpus or 0.0,
        nofile=limits.nofile or 0,
        nice=limits.nice or 0,
        affinity=limits.affinity or (),
    )
