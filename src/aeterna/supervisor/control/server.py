"""The control API and the metrics as the supervisor runs them: which sockets, who may come in, what is served there.

The Unix socket's file is private (mode 0600 in a private directory); opening it here replaces a dead one. The sockets
themselves may come from the keeper, and are not closed here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aeterna.config.places import check_socket_path
from aeterna.kernel.clock import Clock
from aeterna.supervisor.control.admission import Door, OpenDoor, TokenDoor, UnixDoor
from aeterna.supervisor.control.connection import HttpLimits
from aeterna.supervisor.control.contract import Audit, Supervision
from aeterna.supervisor.control.http_server import HttpServer
from aeterna.supervisor.control.routes import ControlRoutes, MetricsRoutes

SOCKET_NAME = "control.sock"
_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class ControlSockets:
    """Listening sockets, each the caller's. ``tcp`` needs ``token``; ``tcp_host``: the name it was opened under."""

    unix: socket.socket
    tcp: socket.socket | None = None
    metrics: socket.socket | None = None
    token: str = ""
    tcp_host: str = ""


class ControlServer:
    """Serves the control API, and the metrics where they have a socket. Starts and stops once."""

    def __init__(
        self,
        sockets: ControlSockets,
        supervision: Supervision,
        clock: Clock,
        audit: Callable[[Audit], None],
        limits: HttpLimits | None = None,
    ) -> None:
        doors: list[tuple[socket.socket, Door]] = [(sockets.unix, UnixDoor(os.getuid()))]
        if sockets.tcp is not None:
            hosts = frozenset({sockets.tcp_host.lower()} - {""})
            doors.append((sockets.tcp, TokenDoor(sockets.token, hosts)))
        self._servers = [HttpServer(doors, ControlRoutes(supervision, clock, audit).handle, limits)]
        if sockets.metrics is not None:
            metrics = MetricsRoutes(supervision)
            self._servers.append(HttpServer([(sockets.metrics, OpenDoor())], metrics.handle, limits))

    async def start(self) -> None:
        """Accept from now on."""
        for server in self._servers:
            await server.start()

    async def stop(self) -> None:
        """Finish what is under way and close every connection; the sockets stay open."""
        for server in self._servers:
            await server.stop()


def open_control_socket(directory: Path) -> socket.socket:
    """The listening Unix socket ``control.sock`` of an instance; whoever calls holds the directory's lock."""
    path = check_socket_path(directory / SOCKET_NAME)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(os.fspath(path))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(mask)
    listening.listen(_BACKLOG)
    listening.setblocking(False)
    return listening


def open_tcp_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket for the control API or the metrics; an empty host is every address. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host or not host else socket.AF_INET
    dual = not host and socket.has_dualstack_ipv6()
    if not dual and not host:
        family = socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
