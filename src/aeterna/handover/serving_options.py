"""What the supervisor tells a server about the handover, as one record read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from aeterna.handover.listening import Address, addresses

__all__ = ["ServingOptions", "is_managed"]


def is_managed(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a supervisor started this process."""
    return bool((os.environ if environ is None else environ).get("AETERNA_MANAGED"))


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How requests are treated during a handover.

    ``is_exclusive``: one generation at a time may change the state. ``park_s`` and ``parked_max`` bound how long and
    how many requests wait for the handover; beyond, they are answered with 503. ``close_code`` is what a WebSocket is
    closed with, all of them over ``close_spread_s``. ``addresses`` are those of the service, by the name of the socket.
    """

    is_exclusive: bool = False
    lame_duck_s: float = 1.0
    close_code: int = 1012
    close_spread_s: float = 5.0
    park_s: float = 10.0
    parked_max: int = 1024
    addresses: Mapping[str, Address] = field(default_factory=dict)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> ServingOptions:
        """As the supervisor set it; the defaults where it did not."""
        given = os.environ if environ is None else environ
        return cls(
            is_exclusive=given.get("AETERNA_STATE_MODE") == "exclusive",
            lame_duck_s=int(given.get("AETERNA_LAME_DUCK_MS") or 1_000) / 1000,
            close_code=int(given.get("AETERNA_WS_CLOSE_CODE") or 1012),
            close_spread_s=int(given.get("AETERNA_WS_CLOSE_SPREAD_MS") or 5_000) / 1000,
            addresses=addresses(given),
        )

    def address_of(self, server: object) -> Address | None:
        """Where the serving generation is asked, for a request that came to ``server``: a host and port, or a path.

        The service's first address if it has none like that, as behind a port mapping; None if it has none at all.
        """
        match server:
            case (str(path), None) | str(path):
                same = [address for address in self.addresses.values() if address.path == path]
            case (str(), int(port)):
                same = [address for address in self.addresses.values() if address.port == port]
            case _:
                same = []
        return next(iter([*same, *self.addresses.values()]), None)
