"""Which generation gets the next connection: the listeners of one service, their weights, and what lands wrong.

Generations are known here by their colour only. A colour is idle when no process accepts from it; what lands there is
passed on, as long as the other colour is served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from aeterna.config.spec import SocketSpec
from aeterna.kernel.clock import sleep
from aeterna.supervisor.host.listener_watch import ShutdownWatch, inspect
from aeterna.supervisor.host.listeners import Colour, Listener, accept_queue_length, adopt_listener, open_listener
from aeterna.supervisor.host.steering import Steering, SteeringOutcome
from aeterna.supervisor.host.stragglers import StragglerWatch

COLOURS = (0, 1)
QUIET_MS = 20
"""How long an accept queue must have been empty to count as dry."""
QUIET_STEP_MS = 5


class Traffic:
    """The listeners of a service. ``percent``: of new connections that go to colour 1 (green)."""

    def __init__(self, on_trouble: Callable[[str], None]) -> None:
        self._on_trouble = on_trouble
        self._repairs: set[asyncio.Task[None]] = set()
        self._told_strangers: set[str] = set()
        self.listeners: dict[str, Listener] = {}
        self._steerings: dict[str, Steering] = {}
        self._watches: dict[tuple[str, int], StragglerWatch] = {}
        self._guards: dict[str, ShutdownWatch] = {}
        self._counted = self._told = 0
        self.percent = 0

    # --- listeners ---------------------------------------------------------------------------------------------------

    def open(self, specs: tuple[SocketSpec, ...], kept: Mapping[str, int] | None = None) -> list[str]:
        """Open what is not open yet, or take it from what was kept; returns the names of the new ones. Raises what
        `open_listener` raises; what was opened by this call is closed then."""
        opened: list[str] = []
        try:
            for spec in specs:
                if spec.name in self.listeners:
                    continue
                fds = {key: fd for key, fd in (kept or {}).items() if key.startswith(f"listener:{spec.name}:")}
                self.listeners[spec.name] = listener = adopt_listener(spec, fds) if fds else open_listener(spec)
                opened.append(spec.name)
                if listener.is_steerable:
                    self._steerings[spec.name] = Steering(listener)
                self._guards[spec.name] = guard = ShutdownWatch(listener, partial(self._shut_down, spec.name))
                guard.start()
        except Exception:
            self.close_these(opened)
            raise
        return opened

    def for_spec(self, specs: tuple[SocketSpec, ...]) -> list[Listener]:
        """The listeners in the order in which a process gets them."""
        return [self.listeners[spec.name] for spec in specs]

    def close_these(self, names: list[str]) -> None:
        """Close listeners for good."""
        for name in names:
            self._steerings.pop(name, None)
            for colour in COLOURS:
                if (watch := self._watches.pop((name, colour), None)) is not None:
                    watch.pause()
            self._guards.pop(name).stop()
            self.listeners.pop(name).close(unlink=True)

    def _shut_down(self, name: str, _colour: Colour) -> None:
        """A process has called ``shutdown()`` on a socket that all share."""
        self._on_trouble(f"a process has shut the socket {name!r} down, which is shared; it is opened again")
        steering = self._steerings.get(name)
        if steering is not None:
            task = asyncio.get_running_loop().create_task(self._repair(name, steering))
            self._repairs.add(task)
            task.add_done_callback(self._repairs.discard)

    async def _repair(self, name: str, steering: Steering) -> None:
        try:
            verdict = await steering.restore()
        except OSError as error:
            self._on_trouble(f"socket {name!r} cannot be opened again: {error}")
            return
        for colour in COLOURS:
            self._guards[name].rearm(Colour(colour))
        self._on_trouble(f"socket {name!r}: {verdict.detail}")

    async def verify(self) -> None:
        """Make sure, with connections of our own, that the kernel does what it was told; says so if it does not, and
        sets it right where that is possible."""
        for name, steering in self._steerings.items():
            verdict = await steering.verify()
            if verdict.outcome is SteeringOutcome.MISDIRECTED:
                self._on_trouble(f"socket {name!r}: {verdict.detail}; looking for the reason")
                verdict = await steering.restore()
            if verdict.outcome is SteeringOutcome.MISDIRECTED:
                self._on_trouble(f"socket {name!r} cannot be steered: {verdict.detail}")

    def look(self) -> None:
        """Look for strangers who listen where we do, which costs little. What is found is said once."""
        for listener in self.listeners.values():
            state = inspect(listener, self.listeners.values())
            for stranger in map(str, state.strangers):
                if stranger not in self._told_strangers:
                    self._told_strangers.add(stranger)
                    self._on_trouble(f"{stranger}, and takes connections meant for socket {listener.name!r}")
            if state.path_is_lost and listener.name not in self._told_strangers:
                self._told_strangers.add(listener.name)
                self._on_trouble(
                    f"the path of socket {listener.name!r} was removed or replaced: clients cannot reach it"
                )

    @property
    def can_steer(self) -> bool:
        """Whether every listener can tell the generations apart."""
        return len(self._steerings) == len(self.listeners)

    def probe_listener(self) -> Listener | None:
        """The first steerable listener: where a probe of one generation can ask."""
        return next((self.listeners[name] for name in self.listeners if name in self._steerings), None)

    def probe_steering(self) -> Steering | None:
        """The steering of that listener."""
        return next((self._steerings[name] for name in self.listeners if name in self._steerings), None)

    # --- weights -----------------------------------------------------------------------------------------------------

    def steer(self, percent: int, probe_colour: int) -> None:
        """Send this share of new connections to colour 1, and the probes to ``probe_colour``."""
        self.percent = percent
        for steering in self._steerings.values():
            steering.set(percent, probe_colour)

    def share(self, colour: int) -> int:
        """The percentage of new connections that goes to this colour."""
        return self.percent if colour else 100 - self.percent

    async def restore(self, percent: int) -> None:
        """After another daemon: make sure that the kernel steers as it did."""
        self.percent = percent
        for steering in self._steerings.values():
            steering.set(percent, 1 if percent >= 50 else 0)
            _ = await steering.restore()

    async def dry(self, colour: int, limit_ms: int) -> bool:
        """Wait until nothing has waited for this colour for a while; False if it still does after ``limit_ms``."""
        quiet_ms = waited_ms = 0
        while quiet_ms < QUIET_MS:
            if waited_ms >= limit_ms:
                return False
            await sleep(QUIET_STEP_MS / 1000)
            waited_ms += QUIET_STEP_MS
            quiet_ms = 0 if self.backlog(colour) else quiet_ms + QUIET_STEP_MS
        return True

    def backlog(self, colour: int) -> int:
        """Connections of all listeners that wait to be accepted from this colour."""
        return sum(
            accept_queue_length(listener.socket_of(colour)) or 0
            for listener in self.listeners.values()
            if listener.is_steerable
        )

    def waiting(self, listener: Listener) -> int:
        """Connections that wait to be accepted from any colour of a listener."""
        return sum(accept_queue_length(sock) or 0 for sock in listener.colours)

    # --- stragglers --------------------------------------------------------------------------------------------------

    async def tend(self, served: frozenset[int]) -> None:
        """Pass on what lands on a colour that nobody accepts from, if all new connections go to one that is served."""
        idle = {colour for colour in COLOURS if served and colour not in served and not self.share(colour)}
        wanted = {(name, colour) for name in self._steerings for colour in idle}
        for key in set(self._watches) - wanted:
            self._watches[key].pause()
        for name, colour in wanted:
            if (name, colour) not in self._watches:
                self._watches[name, colour] = StragglerWatch(self.listeners[name], colour)
            await self._watches[name, colour].start()

    @property
    def stragglers(self) -> int:
        """Connections that were passed on so far."""
        return self._counted + sum(watch.count for watch in self._watches.values())

    def new_stragglers(self) -> int:
        """How many more there are than at the last call."""
        before, self._told = self._told, self.stragglers
        return self._told - before

    async def _stop_watches(self, names: set[str]) -> None:
        for key in [key for key in self._watches if key[0] in names]:
            watch = self._watches.pop(key)
            self._counted += watch.count
            await watch.stop()

    async def close(self, *, unlink: bool) -> None:
        """Let go of everything; with ``unlink`` the paths of Unix sockets disappear."""
        await self._stop_watches(set(self.listeners))
        for task in list(self._repairs):
            task.cancel()
        for guard in self._guards.values():
            guard.stop()
        for listener in self.listeners.values():
            listener.close(unlink=unlink)
        self.listeners.clear()
        self._steerings.clear()
