"""What a new process of a service gets: its command with the placeholders filled in, its environment, its sockets.

Pure but for reading which sockets a listener has; starts nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aeterna.config.spec import ServiceSpec, StateMode
from aeterna.kernel.errors import ConfigurationError
from aeterna.supervisor.fd_store import STORED_MAX
from aeterna.supervisor.host.listeners import Listener

FIRST_FD = 3
"""The first descriptor a process gets (``sd_listen_fds(3)``)."""

_PLACEHOLDER = re.compile(r"\{(fd|port|host|path):([A-Za-z0-9_.-]+)\}")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the supervisor knows about the process it is about to start.

    ``stored``: names of the descriptors that it gets beside the listeners, because an earlier process deposited them.
    ``role``: ``active`` if it is the only generation, ``candidate`` if it is to replace one. ``inherited``: the
    supervisor's own environment, from which the service's is made.
    """

    generation: int
    token: str
    role: str
    txn: int
    notify_path: str
    state_path: str
    stored: tuple[str, ...]
    inherited: Mapping[str, str]


def command(spec: ServiceSpec, listeners: Sequence[Listener]) -> tuple[str, ...]:
    """The argv, with ``{fd:NAME}``, ``{port:NAME}``, ``{host:NAME}`` and ``{path:NAME}`` filled in."""
    values = {listener.name: _values(FIRST_FD + place, listener) for place, listener in enumerate(listeners)}

    def fill(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if name not in values or kind not in values[name]:
            raise ConfigurationError(f"service {spec.name!r}: {match.group()} names no socket that has a {kind}")
        return values[name][kind]

    return tuple(_PLACEHOLDER.sub(fill, word) for word in spec.command)


def environment(spec: ServiceSpec, listeners: Sequence[Listener], now: Circumstances) -> dict[str, str]:
    """The environment. LISTEN_PID is added by the keeper, which alone knows it in time."""
    names = [*(listener.name for listener in listeners), *now.stored]
    given = {key: value for key, value in now.inherited.items() if not key.startswith(_OURS)}
    return {
        **given,
        "PYTHONUNBUFFERED": given.get("PYTHONUNBUFFERED", "1"),
        **spec.env,
        **({"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)} if names else {}),
        **({"WATCHDOG_USEC": str(spec.watchdog_ms * 1000)} if spec.watchdog_ms else {}),
        "NOTIFY_SOCKET": now.notify_path,
        "AETERNA_MANAGED": "1",
        "FDSTORE": str(STORED_MAX),
        "AETERNA_INHERITED_FDS": str(len(names)),
        "AETERNA_SERVICE": spec.name,
        "AETERNA_GENERATION": str(now.generation),
        "AETERNA_INSTANCE": now.token,
        "AETERNA_ROLE": now.role,
        "AETERNA_TXN": str(now.txn) if now.txn else "",
        "AETERNA_STATE_SOCK": now.state_path,
        "LIVERELAY_STATE_SOCK": now.state_path,
        "AETERNA_STATE_MODE": (spec.state.mode or StateMode.NONE).value,
        "AETERNA_LISTEN": json.dumps({listener.name: local_address(listener) for listener in listeners}),
        "AETERNA_LAME_DUCK_MS": str(spec.drain.lame_duck_ms),
        "AETERNA_WS_CLOSE_CODE": str(spec.drain.ws_close_code),
        "AETERNA_WS_CLOSE_SPREAD_MS": str(spec.drain.ws_close_spread_ms),
    }


_OURS = ("LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "AETERNA_", "LIVERELAY_", "INVOCATION_ID", "FDSTORE")


def _values(fd: int, listener: Listener) -> dict[str, str]:
    spec = listener.spec
    if spec.family == "unix":
        return {"fd": str(fd), "path": spec.path}
    return {"fd": str(fd), "host": spec.host, "port": str(listener.port)}


def local_address(listener: Listener) -> str:
    """Where a process of this machine reaches the listener."""
    spec = listener.spec
    if spec.family == "unix":
        return f"unix:{spec.path}"
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - recognised, not bound
    host = loopback.get(spec.host, spec.host)
    return f"[{host}]:{listener.port}" if ":" in host else f"{host}:{listener.port}"
