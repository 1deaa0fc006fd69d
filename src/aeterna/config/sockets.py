"""The sockets of a service as records, and the places in its command where they are put in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from aeterna.config.addresses import Address
from aeterna.config.mistakes import KeyPath, key_path
from aeterna.config.older import socket_of_port
from aeterna.config.part import Part
from aeterna.config.places import SOCKET_PATH_BYTES_MAX
from aeterna.config.schema import Socket
from aeterna.config.spec import Overlap, SocketSpec
from aeterna.kernel.suggestions import did_you_mean

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
NAME_RULE = "1 to 40 letters, digits, `.`, `_` or `-`, the first a letter or digit"

_PLACEHOLDER = re.compile(r"\{([a-z]+):([^{}]*)\}")
_FAMILIES = {
    "fd": frozenset({"tcp4", "tcp6", "unix"}),
    "port": frozenset({"tcp4", "tcp6"}),
    "host": frozenset({"tcp4", "tcp6"}),
    "path": frozenset({"unix"}),
}
"""The kinds of placeholders, and the families of sockets that have what each asks for."""


def sockets_of(part: Part, environment: Mapping[str, str]) -> tuple[SocketSpec, ...]:
    """The sockets that the supervisor holds for the service."""
    if part.keys.sockets is None:
        key = "env" if part.has("env", "PORT") else "environment"
        found = socket_of_port(part.findings, part.at(key, "PORT"), environment)
        return () if found is None else (found,)
    return tuple(_socket(part, name, socket) for name, socket in part.keys.sockets.items())


def _socket(part: Part, name: str, socket: Socket) -> SocketSpec:
    if not NAME.fullmatch(name):
        part.mistake(("sockets", name), "it is no name of a socket", NAME_RULE)
    address: Address = socket.listen
    path = part.absolute(address.path) if address.family == "unix" else ""
    check_length(part, ("sockets", name, "listen"), path)
    if part.has("sockets", name, "mode") and address.family != "unix":
        part.warn(("sockets", name, "mode"), "only Unix sockets have permissions; this is not used")
    return SocketSpec(
        name=name,
        family=address.family,
        host=address.host,
        port=address.port,
        path=path,
        backlog=socket.backlog,
        nodelay=socket.nodelay,
        permissions=socket.mode,
    )


def check_length(part: Part, path: KeyPath, socket_path: str) -> None:
    """Refuse the path of a Unix socket that the operating system would refuse."""
    length = len(os.fsencode(socket_path))
    if length > SOCKET_PATH_BYTES_MAX:
        right = f"at most {SOCKET_PATH_BYTES_MAX} bytes, its directory included"
        part.mistake(path, f"a Unix socket cannot have a path of {length} bytes ({socket_path})", right)


def check_placeholders(part: Part, command: Sequence[str], sockets: Sequence[SocketSpec]) -> None:
    """Every ``{fd:NAME}``, ``{port:NAME}``, ``{host:NAME}`` and ``{path:NAME}`` of the command has its socket."""
    families = {socket.name: socket.family for socket in sockets}
    for word in command:
        for kind, name in _PLACEHOLDER.findall(word):
            wrong, right = _judged(kind, name, families)
            if wrong:
                part.mistake(("command",), f"{{{kind}:{name}}}: {wrong}", right)


def _judged(kind: str, name: str, families: Mapping[str, str]) -> tuple[str, str]:
    if kind not in _FAMILIES:
        # Anything in braces may be the program's own language, unless it names one of the sockets.
        if name not in families:
            return "", ""
        return "there is no such placeholder", f"fd, port, host or path{did_you_mean(kind, _FAMILIES)}"
    if name not in families:
        if not families:
            return "the service has no sockets", "`sockets:` with that name below it"
        return "there is no such socket", f"one of {', '.join(families)}{did_you_mean(name, families)}"
    if families[name] not in _FAMILIES[kind]:
        other = "path" if families[name] == "unix" else "port"
        return f"a socket of family {families[name]} has no {kind}", f"{{{other}:{name}}} or {{fd:{name}}}"
    return "", ""


def check_addresses(parts: Sequence[tuple[Part, Sequence[SocketSpec]]]) -> None:
    """No two sockets have one address, in one service or in several."""
    taken: dict[str, KeyPath] = {}
    for part, sockets in parts:
        for socket in sockets:
            address = str(Address(socket.family, socket.host, socket.port, socket.path))
            if socket.family != "unix" and socket.port == 0:
                continue
            path = _path_of(part, socket)
            if address in taken:
                wrong = f"{key_path(taken[address])} in {part.findings.line_of(taken[address])} has that address"
                part.findings.mistake(path, wrong, "another address")
            taken.setdefault(address, path)


def _path_of(part: Part, socket: SocketSpec) -> KeyPath:
    if part.keys.sockets is None:
        return part.at("env" if part.has("env", "PORT") else "environment", "PORT")
    return part.at("sockets", socket.name, "listen")


def overlap_of(part: Part, sockets: Sequence[SocketSpec]) -> Overlap:
    """Whether two generations may run at once; one that binds a port itself cannot be two."""
    written = part.keys.orchestration.overlap
    if written is not Overlap.AUTO or sockets:
        return written
    if not part.has("sockets"):
        part.findings.warn(
            part.base,
            "it has neither `sockets:` nor PORT in its `env:`, so it may bind a port itself: on a reload the old "
            "process stops before the new one starts; with `orchestration.overlap: overlap` they run side by side",
        )
    return Overlap.STOP_FIRST
