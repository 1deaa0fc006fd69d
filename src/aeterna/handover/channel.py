"""One SRP connection of a process, blocking: frames out, frames in, descriptors with both.

A descriptor travels with the first byte of its frame and is announced in its flags; it belongs to whoever takes the
frame. Whatever goes wrong with a connection, no descriptor of it stays open.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aeterna.handover import frames
from aeterna.handover.frames import Decoder, Flags, Frame, FrameError, FrameFault, Kind

READ_BYTES = 256 * 1024
FDS_MAX = 16
"""How many descriptors are taken in one read: one frame brings one, and the kernel ends a read after it."""
SEND_LIMIT = struct.pack("ll", 5, 0)
"""Seconds after which a supervisor that does not read is given up."""


class ClosedError(ConnectionError):
    """The other side has gone."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame, and the descriptor that came with it, which the receiver owns (-1: none)."""

    frame: Frame
    fd: int = -1

    @property
    def kind(self) -> int:
        return self.frame.kind

    def json(self) -> dict[str, Any]:
        return self.frame.json()

    def close(self) -> None:
        """Close the descriptor of a frame nobody wants."""
        if self.fd >= 0:
            os.close(self.fd)


def rights_of(fd: int) -> list[tuple[int, int, bytes]]:
    """The ancillary data that sends a descriptor; none for -1."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]).tobytes())] if fd >= 0 else []


class Inbox:
    """Puts bytes and descriptors together again: a descriptor belongs to the frame whose first byte it came with."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._fds: deque[int] = deque()

    @property
    def is_between_frames(self) -> bool:
        """Whether no frame has begun."""
        return self._decoder.is_empty

    def read(self, sock: socket.socket) -> Iterable[Arrival] | None:
        """Read once, and return what is complete; None at the end of the stream. Raises `OSError`, `FrameError`."""
        data, ancillary, _, _ = sock.recvmsg(READ_BYTES, socket.CMSG_SPACE(FDS_MAX * 4), socket.MSG_CMSG_CLOEXEC)
        for level, kind, rights in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found = array.array("i")
                found.frombytes(rights[: len(rights) - len(rights) % found.itemsize])
                self._fds.extend(found)
        if not data:
            return None
        arrived = [self._with_fd(frame) for frame in self._decoder.feed(data)]
        # At most one frame has begun and is not complete, so at most one descriptor waits for its frame.
        if len(self._fds) > (0 if self._decoder.is_empty else 1):
            for arrival in arrived:
                arrival.close()
            raise FrameError(FrameFault.STRAY_FD)
        return arrived

    def _with_fd(self, frame: Frame) -> Arrival:
        has_fd = bool(frame.flags & Flags.HAS_FD) and bool(self._fds)
        return Arrival(frame, self._fds.popleft() if has_fd else -1)

    def close(self) -> None:
        """Close every descriptor nobody took. Idempotent."""
        while self._fds:
            with suppress(OSError):
                os.close(self._fds.popleft())


class Channel:
    """Frames over a Unix socket. Any thread may send; one receives."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_LIMIT)
        self._sock = sock
        self._sending = threading.Lock()
        self._inbox = Inbox()
        self._arrived: deque[Arrival] = deque()

    def connect(self, path: str) -> None:
        """Connect. Raises `OSError`."""
        self._sock.connect(path)

    def send(self, kind: Kind, body: dict[str, Any], fd: int = -1, *, flags: Flags = Flags.NONE) -> None:
        """Send one frame; a descriptor stays the caller's. Raises `OSError`, and the connection is broken then."""
        self._send(frames.encode_json(kind, body, flags | Flags.HAS_FD if fd >= 0 else flags), fd)

    def send_bytes(self, kind: Kind, payload: bytes) -> None:
        """Send one frame of bytes. Raises `OSError`, and the connection is broken then."""
        self._send(frames.encode(kind, payload), -1)

    def _send(self, data: bytes, fd: int) -> None:
        with self._sending:
            try:
                sent = self._sock.sendmsg([data], rights_of(fd))
                if sent < len(data):
                    self._sock.sendall(memoryview(data)[sent:])
            except OSError:
                # Half a frame may be on its way: nothing that followed would be understood.
                self.hang_up()
                raise

    def receive(self) -> Arrival:
        """The next frame; waits for it. Raises `ClosedError`, `FrameError`, `OSError`."""
        while not self._arrived:
            found = self._inbox.read(self._sock)
            if found is None:
                raise ClosedError("the supervisor has closed the connection")
            self._arrived.extend(found)
        return self._arrived.popleft()

    def hang_up(self) -> None:
        """End the conversation: whoever sends or receives just now fails."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection and every descriptor nobody took. Idempotent."""
        self.hang_up()
        with self._sending:
            self.abandon()

    def abandon(self) -> None:
        """The same in a forked child, where the connection stays the parent's, and its locks mean nothing."""
        while self._arrived:
            self._arrived.popleft().close()
        self._inbox.close()
        self._sock.close()
