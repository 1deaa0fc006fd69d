"""The link between keeper and daemon: frames of JSON, bytes and file descriptors over one stream socket.

It knows nothing of processes or of what the messages mean, and both ends use it. A frame is a header (three lengths),
a JSON object, opaque bytes, and descriptors, which travel with the frame's first bytes: several batches of them if one
system call cannot carry all. Invariants: nothing here ever blocks; a descriptor handed to `send` belongs to the link,
one handed out in a `Message` to whoever takes it; and every descriptor is closed on exec.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Body = dict[str, Any]

PROTOCOL = 1
"""Raised when a message changes its meaning. A keeper may be older than its daemon: it outlives upgrades."""

_HEADER = struct.Struct("!III")
_BODY_BYTES_MAX = 16 * 1024**2
_BLOB_BYTES_MAX = 256 * 1024**2
_FDS_MAX = 32768
_FDS_PER_CALL = 250  # Linux takes 253
_READ_BYTES = 256 * 1024
_MESSAGES_PER_READ = 64  # so that a talkative peer cannot keep the keeper from reaping
_ANCILLARY_BYTES = socket.CMSG_SPACE(253 * 4)


class LinkError(Exception):
    """The peer is gone, or sends what is no frame."""


class Message:
    """A frame that arrived. ``is_short``: fewer descriptors came than were sent, because this process has too many."""

    __slots__ = ("_fds", "blob", "body", "is_short")

    def __init__(self, body: Body, blob: bytes, fds: list[int], *, is_short: bool) -> None:
        self.body = body
        self.blob = blob
        self.is_short = is_short
        self._fds = fds

    def take_fds(self) -> list[int]:
        """The descriptors, which the caller owns from now on."""
        fds, self._fds = self._fds, []
        return fds

    def close(self) -> None:
        """Close the descriptors nobody took."""
        close_fds(self.take_fds())


class _Incoming:
    """A frame that is arriving."""

    __slots__ = ("data", "fds", "sizes", "wanted")

    def __init__(self) -> None:
        self.data = bytearray()
        self.fds: list[int] = []
        self.sizes: tuple[int, int, int] | None = None
        self.wanted = _HEADER.size

    def advance(self) -> Message | None:
        """Look at what has come so far; returns the message when the frame is complete."""
        if len(self.data) < self.wanted:
            return None
        if self.sizes is None:
            body_bytes, blob_bytes, fd_count = self.sizes = _HEADER.unpack_from(self.data)
            if body_bytes > _BODY_BYTES_MAX or blob_bytes > _BLOB_BYTES_MAX or fd_count > _FDS_MAX:
                raise LinkError(f"not a frame: {body_bytes} and {blob_bytes} bytes, {fd_count} descriptors")
            self.wanted += body_bytes + blob_bytes
            return None
        body_end = _HEADER.size + self.sizes[0]
        try:
            body = json.loads(self.data[_HEADER.size : body_end])
        except ValueError as error:
            raise LinkError(f"not a frame: {error}") from error
        if not isinstance(body, dict):
            raise LinkError("not a frame: the body is no object")
        fds, self.fds = self.fds, []
        return Message(body, bytes(self.data[body_end:]), fds, is_short=len(fds) != self.sizes[2])


class Link:
    """One end of the socket, which it owns. Reading and writing happen when the caller's loop says it is possible."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming = _Incoming()
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()
        self.is_closed = False
        self.fault = ""
        """Why the link was closed from this end, if what came was no frame."""

    def fileno(self) -> int:
        """The socket's number, -1 when closed."""
        return self._sock.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether something waits until the socket can be written."""
        return bool(self._outgoing)

    def send(self, body: Mapping[str, Any], blob: bytes = b"", fds: Sequence[int] = ()) -> None:
        """Queue a frame and write what can be written at once.

        The descriptors are closed when they are sent (or cannot be). Raises `LinkError` if the peer is gone,
        ValueError if the frame is too large.
        """
        text = json.dumps(body, separators=(",", ":")).encode()
        head = _HEADER.pack(len(text), len(blob), len(fds)) + text
        is_too_large = len(text) > _BODY_BYTES_MAX or len(blob) > _BLOB_BYTES_MAX or len(fds) > _FDS_MAX
        if self.is_closed or is_too_large:
            close_fds(fds)
            raise ValueError("the frame is too large") if is_too_large else LinkError("the link is closed")
        # All batches but the last ride on one byte each: a descriptor cannot travel without one.
        batches = [list(fds[start : start + _FDS_PER_CALL]) for start in range(0, len(fds), _FDS_PER_CALL)]
        for at, batch in enumerate(batches[:-1]):
            self._outgoing.append((memoryview(head[at : at + 1]), batch))
        rest = max(len(batches) - 1, 0)
        self._outgoing.append((memoryview(head[rest:] + blob), batches[-1] if batches else []))
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes now. Raises `LinkError` if the peer is gone."""
        while self._outgoing:
            data, fds = self._outgoing.popleft()
            try:
                sent = self._sock.sendmsg([data], _ancillary(fds), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._outgoing.appendleft((data, fds))
                return
            except OSError as error:
                close_fds(fds)
                self.close()
                raise LinkError(f"cannot write to the peer: {error}") from error
            close_fds(fds)
            if sent < len(data):
                self._outgoing.appendleft((data[sent:], []))

    def receive(self) -> list[Message]:
        """The frames that have arrived, perhaps none. Closes the link at the stream's end and at what is no frame."""
        messages: list[Message] = []
        while len(messages) < _MESSAGES_PER_READ and not self.is_closed and self._read_some():
            try:
                message = self._incoming.advance()
            except LinkError as error:
                self.fault = str(error)
                self.close()
                break
            if message is not None:
                messages.append(message)
                self._incoming = _Incoming()
        return messages

    def _read_some(self) -> bool:
        """Read, but never beyond the frame, so that descriptors cannot be taken for the next one's."""
        incoming = self._incoming
        wanted = incoming.wanted - len(incoming.data)
        if wanted == 0:
            return True
        try:
            data, ancillary, _flags, _address = self._sock.recvmsg(
                min(wanted, _READ_BYTES), _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return False
        except OSError:
            data, ancillary = b"", []
        incoming.fds += _received_fds(ancillary)
        incoming.data += data
        if not data:
            self.close()
        return bool(data)

    def close(self) -> None:
        """Close the socket, and every descriptor that did not get through."""
        self.is_closed = True
        self._sock.close()
        for _data, fds in self._outgoing:
            close_fds(fds)
        self._outgoing.clear()
        close_fds(self._incoming.fds)
        self._incoming = _Incoming()


def _ancillary(fds: Sequence[int]) -> list[tuple[int, int, array.array[int]]]:
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []


def _received_fds(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return fds.tolist()


def close_fds(fds: Iterable[int]) -> None:
    """Close them all; one that is already closed is no error."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
