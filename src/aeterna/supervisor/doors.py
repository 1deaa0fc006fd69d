"""The doors of the supervisor: control API and metrics, on sockets that outlive the daemon."""

from __future__ import annotations

import socket

from aeterna.config.spec import Plan
from aeterna.kernel.errors import ConfigurationError
from aeterna.supervisor.control.contract import Audit, Supervision
from aeterna.supervisor.control.server import (
    SOCKET_NAME,
    ControlServer,
    ControlSockets,
    open_control_socket,
    open_tcp_socket,
)
from aeterna.supervisor.host.keeping import Inventory
from aeterna.supervisor.house import House

CONTROL_KEY = "door:control"
TCP_KEY = "door:tcp"
METRICS_KEY = "door:metrics"


class Doors:
    """Opens the doors, or takes over the open ones of an earlier daemon."""

    def __init__(self, house: House, supervision: Supervision, plan: Plan) -> None:
        self._house = house
        self._supervision = supervision
        self._plan = plan
        self._server: ControlServer | None = None
        self._sockets: list[socket.socket] = []

    async def open(self, inventory: Inventory) -> None:
        """Serve from now on. Raises `ConfigurationError` if an address cannot be had."""
        control, plan = self._plan.control, self._plan
        unix = self._adopt(inventory, CONTROL_KEY) or self._keep(
            CONTROL_KEY, open_control_socket(self._house.directory)
        )
        sockets = ControlSockets(
            unix=unix,
            tcp=self._tcp(inventory, TCP_KEY, control.listen, "control.listen") if control.listen else None,
            metrics=self._tcp(inventory, METRICS_KEY, plan.metrics_listen, "observability.metrics_port")
            if plan.metrics_listen
            else None,
            token=control.token,
            tcp_host=control.listen.rpartition(":")[0].strip("[]"),
        )
        self._server = ControlServer(sockets, self._supervision, self._house.clock, self._audit)
        await self._server.start()

    async def close(self, *, is_last: bool) -> None:
        """Serve no longer; ``is_last``: nobody comes after this daemon."""
        if self._server is not None:
            await self._server.stop()
        for sock in self._sockets:
            sock.close()
        if is_last:
            (self._house.directory / SOCKET_NAME).unlink(missing_ok=True)

    def _adopt(self, inventory: Inventory, key: str) -> socket.socket | None:
        fd = inventory.fds.pop(key, None)
        if fd is None:
            return None
        found = socket.socket(fileno=fd)
        self._sockets.append(found)
        return found

    def _keep(self, key: str, opened: socket.socket) -> socket.socket:
        self._sockets.append(opened)
        self._house.keeping.keep(key, opened.fileno())
        return opened

    def _tcp(self, inventory: Inventory, key: str, address: str, setting: str) -> socket.socket:
        adopted = self._adopt(inventory, key)
        if adopted is not None:
            return adopted
        host, _, port = address.rpartition(":")
        try:
            return self._keep(key, open_tcp_socket(host.strip("[]"), int(port)))
        except OSError as error:
            raise ConfigurationError(
                f"{setting}: cannot listen on {address}: {error.strerror}; choose another port, or 0 for a free one"
            ) from error

    def _audit(self, audit: Audit) -> None:
        self._house.say(f"audit: {audit}")
