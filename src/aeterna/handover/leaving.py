"""How a server leaves: every connection gets its last answer before it is closed.

Works on uvicorn's protocol objects, of which it reads two attributes and calls ``shutdown()``. Knows nothing of
listeners (nothing new arrives any more) or of why the server leaves. Each connection is in one of three states:

- *busy*: an answer or a WebSocket is under way. It may finish, up to the grace.
- *idle*: it has had an answer, and nothing since. Its client may be about to ask again, and learns from the
  ``Connection: close`` of that answer to go; what has been idle for the whole lame duck is closed.
- *fresh*: accepted, without a complete request yet. Its client has certainly something to ask, so it gets more time.

Invariant: a connection on which bytes wait unread is never closed before the grace is over.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from aeterna.kernel.clock import sleep

__all__ = ["LeavingTimes", "leave"]

_TICK_S = 0.02
_CANCELLED_S = 1.0
"""How long cancelled requests may take to end."""


class _Phase(Enum):
    BUSY = auto()
    IDLE = auto()
    FRESH = auto()


@dataclass(frozen=True, slots=True)
class LeavingTimes:
    """``lame_duck_s``: how long an idle connection may stay; ``fresh_s``: how long one that has not asked may;
    ``grace_s``: when everything is cut."""

    lame_duck_s: float
    fresh_s: float
    grace_s: float


class _Departure:
    """The connections of a leaving server, and since when each has been in its phase.

    Those that are idle ``now`` have been told to leave since ``told_s``.
    """

    def __init__(self, connections: Collection[Any], now: float, told_s: float) -> None:
        self._connections = connections
        self._since: dict[Any, tuple[_Phase, float]] = {}
        for connection in connections:
            phase = _phase(connection)
            self._since[connection] = phase, told_s if phase is _Phase.IDLE else now

    def close_finished(self, now: float, times: LeavingTimes) -> None:
        """Close what has nothing more to answer."""
        before, self._since = self._since, {}
        for connection in list(self._connections):
            phase = _phase(connection)
            known, since = before.get(connection, (phase, now))
            since = since if known is phase else now
            self._since[connection] = phase, since
            if _may_close(phase, now - since, times) and not _has_unread(connection):
                connection.shutdown()


def _may_close(phase: _Phase, for_s: float, times: LeavingTimes) -> bool:
    match phase:
        case _Phase.IDLE:
            return for_s >= times.lame_duck_s
        case _Phase.FRESH:
            return for_s >= times.fresh_s
        case _Phase.BUSY:
            return False


async def leave(
    connections: Collection[Any],
    tasks: Collection[asyncio.Task[Any]],
    times: Callable[[], LeavingTimes],
    told_s: float,
) -> bool:
    """Wait until every connection has had its answer and every task has ended; whether the grace was enough.

    ``times`` is asked again and again, so that impatience can shorten them. ``told_s`` is the loop's time since which
    answers have said that their connection closes. Past the grace, WebSockets are told that the server restarts and
    requests are cancelled.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    departure = _Departure(connections, begun, told_s)
    while connections or tasks:
        now = loop.time()
        if now - begun >= times().grace_s:
            await _cut(connections, tasks)
            return False
        departure.close_finished(now, times())
        await sleep(_TICK_S)
    return True


async def _cut(connections: Collection[Any], tasks: Collection[asyncio.Task[Any]]) -> None:
    for connection in list(connections):
        connection.shutdown()
    for task in list(tasks):
        task.cancel("the grace is over")
    if tasks:
        await asyncio.wait(list(tasks), timeout=_CANCELLED_S)


def _phase(connection: Any) -> _Phase:
    # A WebSocket's protocol has no cycles: it is busy until it is closed.
    if not hasattr(connection, "cycle"):
        return _Phase.BUSY
    cycle = connection.cycle
    if cycle is not None and not cycle.response_complete:
        return _Phase.BUSY
    # The timer runs from the end of an answer to the first byte of the next request.
    return _Phase.FRESH if connection.timeout_keep_alive_task is None else _Phase.IDLE


def _has_unread(connection: Any) -> bool:
    """Whether the kernel holds bytes of it that the loop has not seen."""
    raw = connection.transport.get_extra_info("socket")
    if raw is None or raw.fileno() < 0:
        return False
    (count,) = struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.FIONREAD, bytes(4)))
    return bool(count > 0)
