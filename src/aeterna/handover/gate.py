"""Whether this process may serve: one object per process, turned by the supervisor, asked by the server.

It knows no protocol and no server. Three roles: ACTIVE serves; PAUSED holds requests back, because nobody may change
state right now; STANDBY has handed the state on and does not serve. Independently of them, a process that *drains* asks
its clients to leave.

The rule that everything rests on: who serves a request calls `enter` first and looks at `role` afterwards, and who
turns the gate changes `role` first and looks at `inflight` afterwards. So either the request sees the new role, or
whoever pauses waits for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum


class ServingRole(StrEnum):
    """What the process may do with a request."""

    ACTIVE = "active"
    PAUSED = "paused"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class GateChange:
    """How the gate stands now. ``lame_duck_ms``: how long clients are given to leave, while it drains."""

    role: ServingRole
    draining: bool
    lame_duck_ms: int = 0


Listener = Callable[[GateChange], None]


class Gate:
    """Thread-safe. Listeners are called in the thread that made the change, and must return at once."""

    def __init__(self, role: ServingRole = ServingRole.ACTIVE) -> None:
        self.role = role
        self.draining = False
        self.lame_duck_ms = 0
        self._inflight = 0
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._listeners: list[Listener] = []

    # --- for servers -------------------------------------------------------------------------------------------------

    @property
    def inflight(self) -> int:
        """Requests that have entered and not left."""
        return self._inflight

    def enter(self) -> None:
        """A request begins. Look at `role` afterwards; leave in any case."""
        with self._lock:
            self._inflight += 1

    def leave(self) -> None:
        """A request has ended."""
        with self._idle:
            # In a forked child the requests of its parent count for nothing, and may be left all the same.
            self._inflight = max(self._inflight - 1, 0)
            if not self._inflight:
                self._idle.notify_all()

    @contextmanager
    def entered(self) -> Iterator[ServingRole]:
        """`enter` and `leave` around a block; yields the role."""
        self.enter()
        try:
            yield self.role
        finally:
            self.leave()

    def add_listener(self, listener: Listener) -> None:
        """Have every change told."""
        with self._lock:
            self._listeners.append(listener)

    # --- for whoever turns it ----------------------------------------------------------------------------------------

    def pause(self, deadline_ms: int) -> int:
        """Hold new requests back and wait for those under way, at most ``deadline_ms``; returns how many are left."""
        self._turn(ServingRole.PAUSED)
        return self.wait_idle(deadline_ms)

    def wait_idle(self, deadline_ms: int) -> int:
        """Wait until nothing is in flight, at most ``deadline_ms``; returns how many requests still are.

        Returns at once when the process is to serve again.
        """
        with self._idle:
            self._idle.wait_for(lambda: not self._inflight or self.role is ServingRole.ACTIVE, deadline_ms / 1000)
            return self._inflight

    def activate(self) -> None:
        """Serve, requests that were held back first."""
        self._turn(ServingRole.ACTIVE)

    def resume(self) -> None:
        """Serve again, as if there had been neither a pause nor a drain."""
        self._turn(ServingRole.ACTIVE, draining=False)

    def standby(self) -> None:
        """Do not serve any more; the memory stays."""
        self._turn(ServingRole.STANDBY)

    def start_drain(self, lame_duck_ms: int) -> None:
        """Ask clients to leave, with every answer."""
        with self._lock:
            self.lame_duck_ms = lame_duck_ms
        self._turn(None, draining=True)

    def _turn(self, role: ServingRole | None, *, draining: bool | None = None) -> None:
        with self._lock:
            before = (self.role, self.draining)
            self.role = role or self.role
            self.draining = self.draining if draining is None else draining
            change = GateChange(self.role, self.draining, self.lame_duck_ms)
            listeners = tuple(self._listeners) if before != (self.role, self.draining) else ()
            self._idle.notify_all()
        for listener in listeners:
            listener(change)

    def forked(self) -> None:
        """The process is a child now: the requests under way are its parent's, and so is whoever held the lock."""
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._inflight = 0


def first_role(environ: Mapping[str, str]) -> ServingRole:
    """The role a process begins with: a candidate that is to get exclusive state waits for it."""
    waits = environ.get("AETERNA_ROLE") == "candidate" and environ.get("AETERNA_STATE_MODE") == "exclusive"
    return ServingRole.PAUSED if waits else ServingRole.ACTIVE


_GATE = Gate(first_role(os.environ))


def gate() -> Gate:
    """The gate of this process. From the first call on the supervisor can turn it, if there is one."""
    from aeterna.handover import client  # which turns the gate, and so knows it

    client.connect()
    return _GATE


def bare_gate() -> Gate:
    """The gate, whether anybody can turn it or not."""
    return _GATE
