"""A whole configuration as a plan: which form it has, its services, and what they must not share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from aeterna.config.building_service import service_of
from aeterna.config.findings import Findings
from aeterna.config.part import Part
from aeterna.config.schema import SERVICE_KEYS, Document, Service
from aeterna.config.sockets import check_addresses
from aeterna.config.spec import ControlSpec, LogSpec, Plan, ServiceSpec

TOKEN_LENGTH_LEAST = 16


def plan_of(document: Document, path: Path, findings: Findings) -> Plan:
    """The plan; raises `MistakesError` if there is any mistake."""
    parts = list(_parts(document, path.parent, findings))
    services = [service_of(part) for part in parts]
    check_addresses([(part, service.sockets) for part, service in zip(parts, services, strict=True)])
    _check_state_sockets(parts, services, findings)
    observability = document.observability
    control = _control(document, findings)
    _check_own_addresses(observability.metrics_port, control.listen, services, findings)
    findings.finish()
    return Plan(
        source=str(path),
        services=tuple(services),
        metrics_listen=observability.metrics_port,
        log=LogSpec(
            level=str(observability.log_level),
            format=str(observability.log.format),
            path=str(path.parent / observability.log.path) if observability.log.path else "",
            bytes_max=observability.log.max_size,
            files_max=observability.log.max_files,
        ),
        control=control,
        warnings=findings.warnings,
    )


def _parts(document: Document, directory: Path, findings: Findings) -> Iterator[Part]:
    """The services, each with its keys in one place."""
    if document.services is not None:
        if document.service is not None:
            findings.mistake(("service",), "`services:` is there too", "all of them below `services:`", of_key=True)
        for key in SERVICE_KEYS:
            if findings.has((key,)):
                right = f"services.NAME.{key}"
                findings.mistake((key,), "with `services:` it stands inside each service", right, of_key=True)
        if not document.services:
            findings.mistake(("services",), "it has no service", "a name with a command below it")
        for name, service in document.services.items():
            yield Part(name, service, ("services", name), directory, findings)
    elif document.service is not None:
        if document.service.name is None:
            findings.missing(("service", "name"), "what the service is called")
        service = _with_top_level(document.service, document, findings)
        yield Part(document.service.name or "service", service, ("service",), directory, findings)
    else:
        findings.mistake((), "there is no service", "`service:` with a name and a command, or `services:`")


def _with_top_level(service: Service, document: Document, findings: Findings) -> Service:
    """With `service:`, the keys beside it are its own."""
    found = {}
    for key in SERVICE_KEYS:
        if not findings.has((key,)):
            continue
        if findings.has(("service", key)):
            wrong = f"it stands inside `service:` too, in {findings.line_of(('service', key))}"
            findings.mistake((key,), wrong, "one of the two", of_key=True)
        found[key] = getattr(document, key)
    return msgspec.structs.replace(service, **found)


def _control(document: Document, findings: Findings) -> ControlSpec:
    control = document.control
    if control.listen and not control.token:
        findings.missing(("control", "token"), "a secret that clients show, like ${AETERNA_TOKEN}")
    elif control.listen and len(control.token) < TOKEN_LENGTH_LEAST:
        findings.warn(("control", "token"), f"fewer than {TOKEN_LENGTH_LEAST} characters can be guessed")
    return ControlSpec(listen=control.listen, token=control.token)


def _check_state_sockets(parts: Sequence[Part], services: Sequence[ServiceSpec], findings: Findings) -> None:
    """One path of the relay cannot be shared with a socket that a service listens on."""
    listened = {socket.path for service in services for socket in service.sockets if socket.path}
    for part, service in zip(parts, services, strict=True):
        if service.state.socket_path in listened:
            path = part.at("orchestration", "state_handoff", "socket_path")
            findings.mistake(path, "a service listens on that path", "another path, or none")


def _check_own_addresses(metrics: str, control: str, services: Sequence[ServiceSpec], findings: Findings) -> None:
    """The supervisor's own addresses are nobody else's."""
    taken = {f"{socket.port}" for service in services for socket in service.sockets if socket.port}
    for path, address in ((("observability", "metrics_port"), metrics), (("control", "listen"), control)):
        port = address.rpartition(":")[2]
        if port in taken:
            findings.mistake(path, "another socket has that port", "a port of its own")
        if port not in ("", "0"):
            taken.add(port)
