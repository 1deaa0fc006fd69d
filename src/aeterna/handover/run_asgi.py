"""``aeterna run-asgi``: uvicorn's protocols behind an accept loop that can pause, and an exit that cuts nobody off.

uvicorn brings the HTTP and WebSocket protocols, the lifespan and the loading of the application. What is its own here
is what a handover needs: accepting stops and goes on as the gate says, every answer of a server that leaves says so,
and TERM ends the process with code 0 when the last answer is out. One process, one loop: the supervisor replaces whole
generations, so that workers would only divide the state they carry.

Invariant: a connection is accepted only while this generation is the one that serves.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from aeterna import handover
from aeterna.handover.accepting import Acceptor
from aeterna.handover.asgi import HandoverMiddleware
from aeterna.handover.gate import GateChange, ServingRole
from aeterna.handover.gate import gate as process_gate
from aeterna.handover.leaving import LeavingTimes, leave
from aeterna.handover.listening import keep_from_children, listener_of
from aeterna.handover.serving_options import ServingOptions
from aeterna.kernel.clock import Clock, SystemClock, sleep
from aeterna.kernel.errors import ConfigurationError

__all__ = ["CANNOT_START", "RunOptions", "run_asgi"]

CANNOT_START = 3
"""The exit code when the application cannot be imported, its startup fails, or the address is taken."""

_FRESH_S_MIN = 2.0
_BACKLOG = 4096
_STOPPING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What to run and how. ``sockets`` names inherited listeners (default: the first); ``host`` and ``port`` are for a
    process that inherited none. ``lame_duck_ms`` is the supervisor's unless given."""

    app: str
    sockets: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    loop: str = "auto"
    http: str = "auto"
    ws: str = "auto"
    is_factory: bool = False
    app_dir: str = ""
    log_level: str = "info"
    access_log: bool = True
    lame_duck_ms: int | None = None
    grace_ms: int = 30_000


def run_asgi(options: RunOptions, clock: Clock | None = None) -> int:
    """Serve the application until TERM or INT; the exit code, after which the process is expected to end.

    Raises `ConfigurationError` for a socket that was not handed over.
    """
    config = _load(options)
    if config is None:
        return CANNOT_START
    try:
        listeners = _listeners(options)
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", options.host, options.port, error)
        return CANNOT_START
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            return runner.run(_serve(config, listeners, options, clock or SystemClock()))
    finally:
        for listener in listeners:
            listener.close()


def _load(options: RunOptions) -> uvicorn.Config | None:
    """The configuration with the application in it; None when that cannot be had, and it has been said why."""
    sys.path.insert(0, str(Path(options.app_dir).absolute()))
    config = uvicorn.Config(
        options.app,
        loop=options.loop,
        http=options.http,
        ws=options.ws,
        factory=options.is_factory,
        log_level=options.log_level,
        access_log=options.access_log,
    )
    try:
        config.load()
    except SystemExit:
        # It has logged what it did not find.
        return None
    except Exception:
        log.exception("cannot import %s", options.app)
        return None
    return config


def _listeners(options: RunOptions) -> list[socket.socket]:
    found = keep_from_children()
    names = options.sockets or tuple(found)[:1]
    unknown = [name for name in names if name not in found]
    if unknown:
        have = f"there are {', '.join(found)}" if found else "none was inherited: is this run by a supervisor?"
        raise ConfigurationError(f"no listening socket is called {unknown[0]!r}; {have}")
    if names:
        return [listener_of(found[name]) for name in names]
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    return [socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)]


async def _serve(config: uvicorn.Config, listeners: list[socket.socket], options: RunOptions, clock: Clock) -> int:
    return await _Server(config, listeners, options, clock).serve()


class _Server:
    """One run of the application on a loop."""

    def __init__(
        self, config: uvicorn.Config, listeners: list[socket.socket], options: RunOptions, clock: Clock
    ) -> None:
        self._config, self._listeners, self._options, self._clock = config, listeners, options, clock
        self._gate = process_gate()
        serving = ServingOptions.from_environ()
        self._lame_duck_s = serving.lame_duck_s if options.lame_duck_ms is None else options.lame_duck_ms / 1000
        self._told_s: float | None = None
        self._middleware = HandoverMiddleware(config.loaded_app, gate=self._gate, options=serving)
        config.loaded_app = self._middleware
        self._lifespan: Any = config.lifespan_class(config)
        self._state = ServerState()
        self._connecting: set[asyncio.Task[None]] = set()
        self._acceptors: list[Acceptor] = []
        self._stops: list[int] = []
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def serve(self) -> int:
        """Start, accept, and leave when told; the exit code."""
        for number in _STOPPING:
            self._loop.add_signal_handler(number, self._stop, number)
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            return CANNOT_START
        dating = self._loop.create_task(self._keep_date(), name="date header")
        try:
            await self._serve_until_stopped()
            await self._leave()
        finally:
            dating.cancel()
        await self._lifespan.shutdown()
        for number in _STOPPING:
            # A late repetition must not turn a clean end into a death by that OS signal.
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        return 0

    async def _serve_until_stopped(self) -> None:
        self._acceptors = [Acceptor(listener, self._connected) for listener in self._listeners]
        self._gate.add_listener(self._role_changed)
        self._follow_role()
        handover.ready()
        for listener in self._listeners:
            log.info("serving on %s", _place(listener))
        await self._stopping.wait()

    def _stop(self, number: int) -> None:
        self._stops.append(number)
        self._stopping.set()

    def _role_changed(self, change: GateChange) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._follow_role)

    def _follow_role(self) -> None:
        if not self._gate.draining:
            self._told_s = None
        elif self._told_s is None:
            self._told_s = self._loop.time()
        for acceptor in self._acceptors:
            if self._gate.role is ServingRole.ACTIVE and not self._stops:
                acceptor.resume()
            else:
                acceptor.pause()

    def _connected(self, connection: socket.socket) -> None:
        task = self._loop.create_task(self._connect(self._loop, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        try:
            await loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:
            log.warning("a connection was lost before it began: %s", error, extra={"action": "accept.lost"})
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        create: Any = self._config.http_protocol_class
        protocol: asyncio.Protocol = create(
            config=self._config, server_state=self._state, app_state=self._lifespan.state
        )
        return protocol

    async def _keep_date(self) -> None:
        while True:
            now_s = self._clock.now_us() / 1_000_000
            date = (b"date", formatdate(now_s, usegmt=True).encode())
            self._state.default_headers = [date, *self._config.encoded_headers]
            await sleep(1.0)

    async def _leave(self) -> None:
        log.info("leaving: answering what is under way")
        self._gate.start_drain(round(self._lame_duck_s * 1000))
        self._follow_role()
        self._middleware.leave()
        if self._connecting:
            await asyncio.wait(list(self._connecting))
        told_s = self._loop.time() if self._told_s is None else self._told_s
        if not await leave(self._state.connections, self._state.tasks, self._times, told_s):
            log.warning("the grace is over: what was still under way is cut", extra={"action": "leave.cut"})

    def _times(self) -> LeavingTimes:
        """No lame duck for a person at a terminal, who may end the grace as well by asking twice."""
        lame_duck_s = 0.0 if signal.SIGINT in self._stops else self._lame_duck_s
        grace_s = 0.0 if len(self._stops) > 1 else self._options.grace_ms / 1000
        return LeavingTimes(lame_duck_s, max(lame_duck_s, _FRESH_S_MIN), grace_s)


def _place(listener: socket.socket) -> str:
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family is socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"
