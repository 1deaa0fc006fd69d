"""Which colour a new connection goes to: decided by weight, in the kernel, before anybody accepts it.

It knows one listener and its weights, no generations and no probes. Invariants: the supervisor's own connections
(source address from `PROBE_SOURCES`) always go to ``probe_colour``; every other one goes to green with
``green_percent`` in a hundred. Where the listener has only one socket, everything here is accepted and does nothing.

**Trust is checked, with real connections.** `Steering.verify` opens a few connections from probe ports and looks where
each one landed. Counting the accept queue would not do: real traffic moves it too, and an application empties it.
Instead the two listeners carry a mark that every connection inherits and the kernel shows (see `sock_diag`), so a
connection is attributed exactly, whoever accepts it, and none is taken away from an application. What a serving
application sees is a connection that opens and closes without a byte, as from any TCP health check; it ends with FIN,
not with a reset, because some servers log resets. So verify after the weights were set and when `inspect` has found
something, not by the clock: between those moments looking at the sockets (`inspect`, `ShutdownWatch`) costs nothing.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from enum import StrEnum

from aeterna.kernel.clock import sleep
from aeterna.supervisor.host import connecting, sock_diag
from aeterna.supervisor.host.bpf import Split, steering_program
from aeterna.supervisor.host.listener_watch import count_in_group, revive
from aeterna.supervisor.host.listeners import Colour, Listener, listens
from aeterna.supervisor.host.probe_ports import PROBE_SOURCES, ProbeSources
from aeterna.supervisor.host.steering_trial import attach

VERIFY_CONNECTIONS = 4
"""For each family. If nothing steered, all of them would land right once in sixteen times."""
VERIFY_ATTEMPTS = 8
"""Tries for one connection: its source port may not be rested, or whoever accepts may be quicker than we look."""
TRY_AGAIN = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ECONNRESET})
CONNECT_TIMEOUT_S = 2.0


class SteeringOutcome(StrEnum):
    """What a verification found."""

    VERIFIED = "verified"
    MISDIRECTED = "misdirected"
    UNKNOWN = "unknown"
    NOT_STEERABLE = "not-steerable"


@dataclass(frozen=True, slots=True)
class SteeringVerdict:
    """``landed``: where our connections arrived, None for a stranger's socket. ``detail``: a sentence for people."""

    outcome: SteeringOutcome
    landed: tuple[Colour | None, ...] = ()
    detail: str = ""

    @property
    def is_trustworthy(self) -> bool:
        return self.outcome is SteeringOutcome.VERIFIED


class _Unseen(Exception):  # noqa: N818 - a fact, not a fault
    """A connection could not be made or not be attributed."""


class Steering:
    """The weights of one listener. Starts with everything, probes too, going to blue."""

    def __init__(self, listener: Listener, sources: ProbeSources = PROBE_SOURCES) -> None:
        self._listener = listener
        self._sources = sources
        self.green_percent = 0
        self.probe_colour = Colour.BLUE

    @property
    def is_steerable(self) -> bool:
        return self._listener.is_steerable

    def set(self, green_percent: int, probe_colour: int) -> None:
        """Use these weights for every connection that arrives from now on. Raises `OSError` if the kernel refuses."""
        if not 0 <= green_percent <= 100:
            raise ValueError(f"green_percent is {green_percent}; it must be from 0 to 100")
        self.green_percent = green_percent
        self.probe_colour = Colour(probe_colour)
        self._apply()

    def probe_source(self, family: int) -> tuple[str, int]:
        """A source address for a probe of this listener: bind it with ``SO_REUSEADDR`` before connecting."""
        return self._sources.source(family)

    async def verify(self) -> SteeringVerdict:
        """Open a few connections of our own and look where they land. Changes nothing; never raises `OSError`."""
        if not self.is_steerable:
            return SteeringVerdict(SteeringOutcome.NOT_STEERABLE, detail="there is one socket for all generations")
        landed: list[Colour | None] = []
        try:
            for family, address in self._listener.reach():
                landed += [await self._landing(family, address) for _ in range(VERIFY_CONNECTIONS)]
        except _Unseen as unseen:
            return SteeringVerdict(SteeringOutcome.UNKNOWN, tuple(landed), str(unseen))
        right = landed.count(self.probe_colour)
        detail = f"{right} of {len(landed)} own connections reached {self.probe_colour.name.lower()}"
        outcome = SteeringOutcome.VERIFIED if right == len(landed) else SteeringOutcome.MISDIRECTED
        return SteeringVerdict(outcome, tuple(landed), detail)

    async def restore(self) -> SteeringVerdict:
        """Make it work again, whatever happened: revive closed colours, find out the group's order, set the weights.

        After `adopt_listener` call it too, once `set` has told the weights that were in force. While the order is
        being found out (a few connections), weights may be mixed up. Raises `OSError` if a colour cannot be revived.
        """
        if not self.is_steerable:
            return await self.verify()
        for colour in Colour:
            if not listens(self._listener.socket_of(colour)):
                revive(self._listener, colour)
                self._apply()  # a group that was empty has lost its program
        self._apply()
        verdict = await self.verify()
        if verdict.outcome is SteeringOutcome.MISDIRECTED and await self._learn_order():
            self._apply()
            verdict = await self.verify()
        return verdict

    def _apply(self, probe_index: int | None = None) -> None:
        if not self.is_steerable:
            return
        blue, green = (self._index(colour) for colour in Colour)
        probe = (blue, green)[self.probe_colour] if probe_index is None else probe_index
        program = steering_program(self._sources.match, Split(blue, green, self.green_percent, probe))
        # Only a socket that listens is in the group; another one would start a group of its own.
        alive = [sock for sock in self._listener.colours if listens(sock)]
        for sock in alive[:1]:
            attach(sock, program)

    def _index(self, colour: Colour) -> int:
        """The colour's place in the group, or the other's while this one is closed."""
        order = [each for each in self._listener.order if each is None or listens(self._listener.socket_of(each))]
        wanted = colour if colour in order else colour.other
        return order.index(wanted) if wanted in order else 0

    async def _learn_order(self) -> bool:
        """Send probes to each index in turn and look whose socket is there. Other connections keep their weights."""
        family, address = self._listener.reach()[0]
        order: list[Colour | None] = []
        try:
            for index in range(count_in_group(self._listener)):
                self._apply(probe_index=index)
                order.append(await self._landing(family, address))
        except _Unseen:
            self._apply()
            return False
        if set(Colour) - set(order):
            self._apply()
            return False
        self._listener.order = tuple(order)
        return True

    async def _landing(self, family: socket.AddressFamily, address: tuple[str, int]) -> Colour | None:
        """Where one connection from a probe port arrives; None: at a socket that is not ours."""
        reason = ""
        for _ in range(VERIFY_ATTEMPTS):
            try:
                sock, source = self._sources.bound_socket(family)
                with sock:
                    found = await _server_side(sock, source, address)
            except OSError as error:
                reason = f"cannot connect to {address[0]}:{address[1]}: {error.strerror or 'nobody answers'}"
                if error.errno not in TRY_AGAIN:
                    break
                continue
            finally:
                await sleep(0)  # whoever accepts gets a turn between two connections
            if found is not None and found[1] is not None:
                number = sock_diag.mark_of(found[1])
                return None if number is None else Colour(number)
            reason = "the kernel does not tell which socket took a connection (sock_diag)"
            if found is not None and found[0] == sock_diag.TCP_SYN_RECEIVED:
                reason = "an accept queue is full: nobody accepts there"
        raise _Unseen(reason)


async def _server_side(
    sock: socket.socket, source: tuple[str, int], address: tuple[str, int]
) -> tuple[int, int | None] | None:
    """Connect, and what the kernel tells about the other end. First without letting the loop run: whoever accepts may
    close at once."""
    connecting.begin(sock, address)
    found = sock_diag.connection_flags(sock.family, address, source)
    if found is None or found[1] is None:
        await connecting.wait_until_connected(sock, CONNECT_TIMEOUT_S)
        found = sock_diag.connection_flags(sock.family, address, source)
    return found
