"""Addresses to listen on: ``HOST:PORT``, ``:PORT``, ``PORT`` and ``unix:PATH``. Hosts are IP addresses; no names are
looked up, so that a configuration means the same on every machine and in every minute.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from aeterna.config.mistakes import UnfitError

PORT_MAX = 65_535
EXAMPLES = '"0.0.0.0:8080", "127.0.0.1:8080", "[::]:8080", ":8080", 8080 or "unix:/run/app.sock"'
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a bare port means in the files that people bring along
LOOPBACK = "127.0.0.1"

_HOST_PORT = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):(?P<port>[^:]*)")
_NAMES = {"localhost": LOOPBACK, "*": EVERYWHERE}


class Address(NamedTuple):
    """Where to listen. ``family``: tcp4, tcp6 or unix; ``path`` only for the latter, as it was written."""

    family: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.family == "unix":
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if self.family == "tcp6" else f"{self.host}:{self.port}"


def parse_address(text: str, bare_host: str = EVERYWHERE) -> Address:
    """The address; ``bare_host`` is the host of one that names only a port. Raises `UnfitError`."""
    if text.startswith("unix:"):
        path = re.sub(r"^unix:(//(?=/))?", "", text)
        if not path:
            raise UnfitError("it names no path", "unix:/run/app.sock")
        return Address("unix", path=path)
    if "/" in text:
        raise UnfitError("it is no address", f"unix:{text}" if text.startswith("/") else EXAMPLES)
    found = _HOST_PORT.fullmatch(text if ":" in text else f":{text}")
    if found is None:
        raise UnfitError("it is no address", EXAMPLES)
    port = parse_port(found["port"])
    host = found["six"] or found["four"] or bare_host
    return _with_host(host, port)


def parse_port(text: str) -> int:
    """A port; 0 stands for any that is free. Raises `UnfitError`."""
    if not re.fullmatch(r"[0-9]+", text):
        raise UnfitError(
            f"{text!r} is no port" if text else "it names no port", f"a number from 1 to {PORT_MAX}; {EXAMPLES}"
        )
    port = int(text)
    if port > PORT_MAX:
        raise UnfitError(f"there is no port {port}", f"a number from 1 to {PORT_MAX}, or 0 for any that is free")
    return port


def _with_host(host: str, port: int) -> Address:
    try:
        address = ipaddress.ip_address(_NAMES.get(host, host))
    except ValueError:
        raise UnfitError(f"{host!r} is no IP address", f"one of this machine's own, or {EVERYWHERE} for all") from None
    return Address(f"tcp{address.version}", str(address), port)
