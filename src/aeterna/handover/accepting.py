"""Accepting connections, with a pause that loses none.

One `Acceptor` per listening socket, on asyncio's own loop or uvloop. Knows neither what a connection is for nor why it
pauses. Invariant: after `pause` every connection that had reached the queue is handed over, and what comes later waits
in the kernel until `resume`, or for whoever else accepts on the same socket.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

__all__ = ["Acceptor"]

logger = logging.getLogger("aeterna.serving")

_AT_ONCE_MAX = 64
"""Connections accepted before the loop's other work gets its turn."""
_RETRY_S = 0.5
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PASSING = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})
"""The connection was gone, or a firewall forbade it; the next one may be well."""


class Acceptor:
    """Hands each connection of ``listener``, which stays its owner's to close, to ``connected``. Starts paused."""

    def __init__(self, listener: socket.socket, connected: Callable[[socket.socket], None]) -> None:
        listener.setblocking(False)
        self._listener, self._connected = listener, connected
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._is_accepting = False

    @property
    def is_accepting(self) -> bool:
        """Whether new connections are taken."""
        return self._is_accepting

    def resume(self) -> None:
        """Accept from now on."""
        if not self._is_accepting:
            self._is_accepting = True
            self._watch()

    def pause(self) -> None:
        """Accept what has arrived, then nothing more until `resume`."""
        if self._is_accepting:
            while self._accept(_AT_ONCE_MAX):
                pass
            self._is_accepting = False
            self._unwatch()

    def _watch(self) -> None:
        self._retry = None
        self._loop.add_reader(self._listener.fileno(), self._accept, _AT_ONCE_MAX)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _accept(self, at_most: int) -> bool:
        """Accept up to so many; whether there may be more."""
        for _ in range(at_most):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                self._stumble(error)
                return False
            connection.setblocking(False)
            self._connected(connection)
        return True

    def _stumble(self, error: OSError) -> None:
        if error.errno not in _EXHAUSTED:
            raise error
        # The connection stays in the queue and the socket readable: without a rest, this would spin.
        logger.error("no connection accepted for now: %s", error, extra={"action": "accept.exhausted"})
        if self._retry is None:
            self._loop.remove_reader(self._listener.fileno())
            self._retry = self._loop.call_later(_RETRY_S, self._watch)
