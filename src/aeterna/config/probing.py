"""Health checks as probes: which of the ways to ask was written, and whether there is something to ask."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aeterna.config.addresses import EVERYWHERE, LOOPBACK
from aeterna.config.older import one_of
from aeterna.config.part import Part
from aeterna.config.schema import HealthCheck
from aeterna.config.spec import ProbeKind, ProbeSpec, SocketSpec
from aeterna.config.values import HTTP_URL

_WAYS = "http_get, tcp, exec or test"
_LOCAL = frozenset({"localhost", LOOPBACK, EVERYWHERE, "::1", "::"})
_TCP = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):)?([0-9]{1,5})")


def probe_of(
    part: Part, path: tuple[str, ...], check: HealthCheck | None, sockets: Sequence[SocketSpec]
) -> ProbeSpec | None:
    """The probe that was written at the path; None if there is none."""
    if check is None:
        return None
    ways = _ways(part, path, check)
    if len(ways) != 1:
        wrong = f"{' and '.join(way for way, _ in ways)} are given" if ways else "it does not say how to ask"
        part.mistake(path, wrong, f"exactly one of {_WAYS}")
        return None
    way, probe = ways[0]
    if way == "test" and not check.test:
        return None
    _check_target(part, (*path, way), probe, sockets)
    if check.start_interval is not None:
        part.warn((*path, "start_interval"), "not used: while the service starts it is asked every `interval`")
    return _timed(probe, check)


def _ways(part: Part, path: tuple[str, ...], check: HealthCheck) -> list[tuple[str, ProbeSpec]]:
    """Every way to ask that was written, by its key."""
    command = one_of(part.findings, (part.at(*path, "exec"), check.exec), (part.at(*path, "command"), check.command))
    ways: list[tuple[str, ProbeSpec]] = []
    if check.http_get is not None:
        ways.append(("http_get", ProbeSpec(kind=ProbeKind.HTTP, url=check.http_get)))
    if check.tcp is not None:
        ways.append(("tcp", ProbeSpec(kind=ProbeKind.TCP, address=_tcp_address(part, (*path, "tcp"), check.tcp))))
    if command is not None:
        ways.append(("exec", ProbeSpec(kind=ProbeKind.EXEC, command=command)))
    if check.test is not None:
        ways.append(("test", ProbeSpec(kind=ProbeKind.EXEC, command=check.test)))
    return ways


def _timed(probe: ProbeSpec, check: HealthCheck) -> ProbeSpec:
    return ProbeSpec(
        kind=probe.kind,
        url=probe.url,
        address=probe.address,
        command=probe.command,
        interval_ms=check.interval,
        timeout_ms=check.timeout,
        retries=check.retries,
        start_period_ms=check.start_period,
    )


def _tcp_address(part: Part, path: tuple[str, ...], text: str) -> str:
    if text.lower() == "true":
        return ""
    found = _TCP.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 65_536:
        part.mistake(path, "it is no address to connect to", '"127.0.0.1:8080", 8080, or true for the first TCP socket')
        return ""
    return f"{found[1] or LOOPBACK}:{found[2]}"


def _check_target(part: Part, path: tuple[str, ...], probe: ProbeSpec, sockets: Sequence[SocketSpec]) -> None:
    needs_socket = probe.url.startswith("/") or (probe.kind is ProbeKind.TCP and not probe.address)
    if needs_socket and not any(socket.family != "unix" for socket in sockets):
        right = "an address with host and port, or `sockets:` with a TCP socket"
        part.mistake(path, "the service has no TCP socket to ask", right)


def warn_of_strangers(part: Part, path: tuple[str, ...], probe: ProbeSpec, sockets: Sequence[SocketSpec]) -> None:
    """Tell people when a canary's probe asks an address that either generation may answer."""
    target = _target(probe)
    ports = {socket.port for socket in sockets if socket.family != "unix"}
    if target is None or not ports or 0 in ports:
        return
    host, port = target
    if host not in _LOCAL | {socket.host for socket in sockets} or port not in ports:
        part.warn(
            path, f"{host}:{port} is none of this service's sockets, so the old generation may be the one that answers"
        )


def _target(probe: ProbeSpec) -> tuple[str, int] | None:
    """The host and port that the probe asks; None if it takes them from a socket, or asks nobody."""
    url = HTTP_URL.fullmatch(probe.url)
    if url is not None:
        return url["host"].strip("[]"), int(url["port"] or 80)
    if probe.address:
        host, _, port = probe.address.rpartition(":")
        return host.strip("[]"), int(port)
    return None
