"""Why a listening socket cannot be had: what, where, who is in the way, what to do.

It knows addresses and asks `port_holder` who listens; it opens nothing.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from aeterna.config.spec import SocketSpec
from aeterna.kernel.errors import ConfigurationError
from aeterna.supervisor.host import port_holder

FAMILIES = {"tcp4": socket.AF_INET, "tcp6": socket.AF_INET6, "unix": socket.AF_UNIX}
ANY_HOST = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - what an empty host means

Address = tuple[Any, ...]
"""What the socket module takes for an address: host and port, for IPv6 with flow and scope."""

OTHER_REMEDIES = {
    errno.EACCES: "choose a port from 1024 on, or lower net.ipv4.ip_unprivileged_port_start",
    errno.EPERM: "choose a port from 1024 on, or lower net.ipv4.ip_unprivileged_port_start",
    errno.EADDRNOTAVAIL: "bind an address of this machine (`ip addr` lists them), or 0.0.0.0",
    errno.EAFNOSUPPORT: "this system has no IPv6: bind an IPv4 address",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


class BindError(ConfigurationError):
    """A listening socket cannot be had.

    Attributes: ``socket_name``; ``where``; ``errno``; ``is_transient``: nobody is seen to listen there, so the reason
    (a client's connection that happens to use the port, a process that is just leaving) may go away by itself.
    """

    def __init__(
        self, spec: SocketSpec, reason: str, remedy: str, *, code: int = 0, is_transient: bool = False
    ) -> None:
        self.socket_name = spec.name
        self.where = describe(spec)
        self.errno = code
        self.is_transient = is_transient
        super().__init__(f"cannot listen on {self.where} (socket {spec.name!r}): {reason}; {remedy}")


def describe(spec: SocketSpec) -> str:
    """The address as people write it."""
    if spec.family == "unix":
        return f"unix:{spec.path}"
    host = spec.host or ANY_HOST[FAMILIES[spec.family]]
    return f"[{host}]:{spec.port}" if ":" in host else f"{host}:{spec.port}"


def explain(spec: SocketSpec, family: int, address: Address, error: OSError) -> BindError:
    """The error for what the system said about binding there."""
    code = error.errno or 0
    host, port = str(address[0]), int(address[1])
    if code == errno.EADDRINUSE:
        found = port_holder.who_listens(port, family, host)
        if found:
            who = ", ".join(str(each) for each in found[:3])
            return BindError(spec, f"port {port} is in use by {who}", "stop it, or choose another port", code=code)
        if port_holder.listening_on(port, until_other=False):
            who = "a process that this user may not look at (another user's, or in another container)"
            return BindError(spec, f"port {port} is in use by {who}", "stop it, or choose another port", code=code)
        return BindError(
            spec,
            f"port {port} is in use, though nobody is seen to listen there: a client's connection may use it",
            "try again, or choose a port outside net.ipv4.ip_local_port_range",
            code=code,
            is_transient=True,
        )
    return BindError(spec, error.strerror or str(error), OTHER_REMEDIES.get(code, "correct the address"), code=code)
