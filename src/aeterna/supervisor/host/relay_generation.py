"""The processes of one generation that speak SRP: who is there, who may come again, and what they were told to be.

A process whose connection breaks, or that another daemon knew, connects again within moments; one that comes later
(a worker that was forked) is told what the others were. Nothing here waits or sends by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aeterna.handover.frames import Kind
from aeterna.handover.gate import ServingRole
from aeterna.supervisor.host.relay_claims import Hello
from aeterna.supervisor.host.relay_peer import Peer

RETURN_MS = 700
"""How long a process may take to connect again when its connection broke."""

Order = tuple[Kind, dict[str, Any]]

_ROLES = {
    Kind.QUIESCE: ServingRole.PAUSED,
    Kind.STANDBY: ServingRole.STANDBY,
    Kind.ACCEPT: ServingRole.ACTIVE,
    Kind.RESUME: ServingRole.ACTIVE,
}


@dataclass(slots=True)
class RelayGeneration:
    """``token`` and ``contains`` decide who may connect; ``peers`` are in the order of their coming.

    ``away_until_s``: for each process that may come again, until when (on the loop's clock).
    """

    token: str
    contains: Callable[[int], bool]
    peers: list[Peer] = field(default_factory=list)
    away_until_s: list[float] = field(default_factory=list)
    role: Order | None = None
    lease: Order | None = None
    has_told_divided: bool = False

    def note_order(self, kind: Kind, body: dict[str, Any]) -> None:
        """All its processes are told this now, and those that come later will be."""
        if kind in _ROLES:
            self.role = kind, body
        elif kind is Kind.LEASE:
            self.lease = kind, body

    def orders_for(self, hello: Hello) -> list[Order]:
        """What a process that comes now has to be told, because it stands otherwise."""
        orders = []
        if self.lease is not None and hello.lease is not self.lease[1]["granted"]:
            orders.append(self.lease)
        role = self.role
        if role is None and self.lease is not None and self.lease[1]["granted"]:
            # Who alone may change the state serves.
            role = Kind.ACCEPT, self.lease[1]
        if role is not None and hello.gate != _ROLES[role[0]]:
            orders.append(role)
        return orders

    def came(self, peer: Peer) -> None:
        """A process has connected."""
        self.peers.append(peer)
        if self.away_until_s:
            self.away_until_s.pop(0)

    def went(self, peer: Peer, now_s: float) -> None:
        """Its connection has ended; it may come again."""
        self.peers.remove(peer)
        self.away_until_s.append(now_s + RETURN_MS / 1000)

    def wait_s(self, now_s: float) -> float:
        """How long it is worth waiting for processes that are away; 0 if none is."""
        self.away_until_s = [each for each in self.away_until_s if each > now_s]
        return max(self.away_until_s, default=now_s) - now_s
