"""The source ports by which the kernel recognises the supervisor's own connections.

It knows ports and addresses, no probes and no steering. Invariant: `ProbeSources` hands out addresses of its block
only, the longest unused first, so that a port rests (``TIME_WAIT``) before its turn comes again.

The block lies outside ``ip_local_port_range``, so no client gets such a port by chance. Where that range leaves no
room (``1024 65535`` is popular), the block lies inside it and IPv4 probes additionally use a loopback network of their
own, which no client has unless it asks for it; IPv6 has only one loopback address, so there a client on this machine
may be taken for a probe: one connection in `BLOCK_PORTS` of the range (`ProbeSources.is_exclusive` tells).
"""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

from aeterna.supervisor.host.bpf import ProbeMatch

BLOCK_PORTS = 512
BLOCK_PORTS_MIN = 64
DEFAULT_RANGE = (32768, 60999)
OWN_NETWORK, OWN_NETMASK, OWN_HOST = 0x7FAE7E00, 0xFFFFFF00, "127.174.126.1"
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class ProbeSources:
    """Hands out source addresses for probes. ``local_range``: first and last port the kernel gives to clients."""

    def __init__(self, local_range: tuple[int, int]) -> None:
        block = _block_outside(*local_range)
        self.is_exclusive = block is not None
        if block is None:
            first = (local_range[1] + 1 - BLOCK_PORTS_MIN) // BLOCK_PORTS_MIN * BLOCK_PORTS_MIN
            self.match = ProbeMatch(first, BLOCK_PORTS_MIN, OWN_NETWORK, OWN_NETMASK)
        else:
            self.match = ProbeMatch(*block)
        self._next = 0

    @property
    def ports(self) -> range:
        return range(self.match.port_first, self.match.port_first + self.match.port_count)

    def host(self, family: int) -> str:
        """The source address of probes of that family."""
        if family == socket.AF_INET and not self.is_exclusive:
            return OWN_HOST
        return LOOPBACK[socket.AddressFamily(family)]

    def owns(self, peer: tuple[str, int]) -> bool:
        """Whether a connection from there is one of the supervisor's own, by the rule the kernel uses."""
        host = peer[0].removeprefix("::ffff:")
        if host != "::1":
            try:
                number = int.from_bytes(socket.inet_aton(host), "big")
            except OSError:
                return False
            if number & self.match.netmask != self.match.network:
                return False
        return peer[1] in self.ports

    def source(self, family: int) -> tuple[str, int]:
        """The next source address that is free now. Bind with ``SO_REUSEADDR``, and take another one if connecting
        raises ``EADDRNOTAVAIL`` or ``EADDRINUSE``. Raises `OSError` if none is free."""
        sock, address = self.bound_socket(family)
        sock.close()
        return address

    def bound_socket(self, family: int) -> tuple[socket.socket, tuple[str, int]]:
        """A non-blocking TCP socket that is bound to the next free source address; the caller closes it."""
        host = self.host(family)
        for _ in range(self.match.port_count):
            address = (host, self.match.port_first + self._next)
            self._next = (self._next + 1) % self.match.port_count
            with contextlib.ExitStack() as on_failure:
                sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.setblocking(False)
                try:
                    sock.bind(address)
                except OSError as error:
                    if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                        raise
                    continue
                on_failure.pop_all()
                return sock, address
        raise OSError(errno.EADDRINUSE, f"all probe ports {self.ports.start}-{self.ports.stop - 1} are in use")


def local_port_range() -> tuple[int, int]:
    """The ports this machine gives to clients; Linux's default where it does not say."""
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return int(first), int(last)
    except (OSError, ValueError):
        return DEFAULT_RANGE


def _block_outside(first: int, last: int) -> tuple[int, int] | None:
    """The highest block without privileged ports and outside ``first .. last``; smaller ones if none fits."""
    count = BLOCK_PORTS
    while count >= BLOCK_PORTS_MIN:
        for start in range(0x10000 - count, 1023, -count):
            if start > last or start + count <= first:
                return start, count
        count //= 2
    return None


PROBE_SOURCES = ProbeSources(local_port_range())
"""One for the process: all steering programs match the same block, and its ports take turns."""
