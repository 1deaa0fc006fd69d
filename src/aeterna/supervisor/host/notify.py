"""The notify socket of one generation: `sd_notify(3)` messages, with the kernel's word for who sent them.

May not know what a message leads to, nor who belongs to the generation: it says which process spoke and what it said.

Invariants: nothing a sender does raises or blocks; every descriptor that arrives is closed here, except those of a
request to store them, which belong to the receiver of the notice.
"""

from __future__ import annotations

import array
import os
import re
import socket
import stat
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from aeterna.kernel.errors import ConfigurationError

DATAGRAM_BYTES_MAX = 16 * 1024
"""Longer messages are dropped whole; systemd's limit is 4 KiB."""

FDS_MAX = 253
"""Descriptors in one message: the kernel's own limit (``SCM_MAX_FD``)."""

BATCH_MAX = 64
"""Messages taken per call, so that a chatty service does not keep others waiting."""

OWN_PREFIX = "X_AETERNA_"

_PATH_BYTES_MAX = 107
_BARRIER = b"BARRIER=1"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_FD_BYTES = struct.calcsize("i")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(FDS_MAX * _FD_BYTES)
_KEY = re.compile(r"[A-Z][A-Z0-9_]*")
_FD_NAME = re.compile(r"[!-9;-~]{1,255}")  # visible ASCII without the colon, which separates names in LISTEN_FDNAMES
_NUMBER = re.compile(r"[0-9]{1,18}")


class Rejection(StrEnum):
    """Why a datagram, or a part of one, was not passed on."""

    TOO_LONG = "too long"
    NO_SENDER = "no credentials"
    NOT_TEXT = "not UTF-8 text"
    NO_FIELDS = "no KEY=VALUE line"
    FDS_LOST = "descriptors lost"
    """More descriptors than this process may open: the kernel has closed the rest."""
    FDS_UNASKED = "descriptors without FDSTORE=1"


class Watchdog(StrEnum):
    """What a notice says about the watchdog."""

    ALIVE = "1"
    TRIGGER = "trigger"
    """The service asks to be treated as hanging."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message. ``pid`` and ``uid`` are the kernel's word for its sender; ``pid`` is 0 for a foreign pid namespace.

    ``fds`` is not empty only if `stores_fds`; the receiver keeps them or calls `close_fds`.
    A repeated key has its last value. Keys nobody knows are in ``fields`` too.
    """

    pid: int
    uid: int
    fields: Mapping[str, str]
    fds: tuple[int, ...] = ()

    @property
    def is_ready(self) -> bool:
        return self.fields.get("READY") == "1"

    @property
    def is_reloading(self) -> bool:
        return self.fields.get("RELOADING") == "1"

    @property
    def is_stopping(self) -> bool:
        return self.fields.get("STOPPING") == "1"

    @property
    def resets_restarts(self) -> bool:
        """Whether the count of deaths starts anew (``RESTART_RESET=1``)."""
        return self.fields.get("RESTART_RESET") == "1"

    @property
    def status(self) -> str | None:
        """The text for people, free of control characters; empty text takes an earlier one back."""
        text = self.fields.get("STATUS")
        return None if text is None else "".join(char if char.isprintable() else "\ufffd" for char in text)

    @property
    def errno(self) -> int | None:
        return self._number("ERRNO")

    @property
    def main_pid(self) -> int | None:
        """The process that shall count as the main one; the caller checks that it belongs to the service."""
        return self._number("MAINPID") or None

    @property
    def watchdog(self) -> Watchdog | None:
        text = self.fields.get("WATCHDOG", "")
        return Watchdog(text) if text in ("1", "trigger") else None

    @property
    def watchdog_us(self) -> int | None:
        """The new interval of the watchdog in microseconds; 0 switches it off."""
        return self._number("WATCHDOG_USEC")

    @property
    def extend_timeout_us(self) -> int | None:
        """Microseconds from now on by which a start, reload or stop that is under way may last longer."""
        return self._number("EXTEND_TIMEOUT_USEC")

    @property
    def monotonic_us(self) -> int | None:
        """When the reload began, by the service's monotonic clock (with ``RELOADING=1``)."""
        return self._number("MONOTONIC_USEC")

    @property
    def stores_fds(self) -> bool:
        return self.fields.get("FDSTORE") == "1"

    @property
    def removes_fds(self) -> bool:
        """Whether the stored descriptors named `fd_name` are to be closed."""
        return self.fields.get("FDSTOREREMOVE") == "1"

    @property
    def fd_name(self) -> str:
        """The name of the descriptors; ``stored`` without a valid one, as in systemd."""
        name = self.fields.get("FDNAME", "")
        return name if _FD_NAME.fullmatch(name) else "stored"

    @property
    def polls_fds(self) -> bool:
        """Whether stored descriptors are to be dropped once their other end has closed (not with ``FDPOLL=0``)."""
        return self.fields.get("FDPOLL") != "0"

    def own(self, name: str) -> str | None:
        """The value of the private field ``X_AETERNA_<name>``."""
        return self.fields.get(OWN_PREFIX + name)

    def close_fds(self) -> None:
        """Close the descriptors of a notice that nobody keeps; at most once."""
        close_fds(self.fds)

    def _number(self, key: str) -> int | None:
        text = self.fields.get(key, "")
        return int(text) if _NUMBER.fullmatch(text) else None


class NotifySocket:
    """A Unix datagram socket that one generation sends its notices to.

    Reading is the caller's turn: wait until `fileno` is readable, call `receive`. Closing leaves the path in place
    unless it is told to remove it, for the socket may live on in the process that keeps a duplicate.
    """

    def __init__(self, sock: socket.socket, path: str) -> None:
        self._sock = sock
        self.path = path
        self.rejected: Counter[Rejection] = Counter()
        """How many datagrams, or parts of them, were not passed on."""
        self._inode = _inode(path) if path else None
        sock.setblocking(False)
        sock.set_inheritable(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    @classmethod
    def bind(cls, path: Path) -> Self:
        """Open a socket at ``path``, in place of what an earlier supervisor left there.

        Everyone may write to it: the directory decides who reaches it. Raises `ConfigurationError` for a path that is
        too long, and `OSError` as the system does.
        """
        if len(os.fsencode(path)) > _PATH_BYTES_MAX:
            raise ConfigurationError(f"socket path {str(path)!r} is longer than {_PATH_BYTES_MAX} bytes")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with suppress(FileNotFoundError):
                if stat.S_ISSOCK(path.lstat().st_mode):
                    path.unlink()
            sock.bind(os.fspath(path))
            path.chmod(0o666)
            return cls(sock, os.fspath(path))
        except OSError:
            sock.close()
            raise

    @classmethod
    def adopt(cls, fd: int) -> Self:
        """Go on with a socket that was opened before; ``fd`` belongs to the result, and is closed if it does not fit.

        Raises `OSError` if ``fd`` is no socket, `ConfigurationError` if it is one of another kind.
        """
        try:
            sock = socket.socket(fileno=fd)
        except OSError:
            with suppress(OSError):
                os.close(fd)
            raise
        if (sock.family, sock.type) != (socket.AF_UNIX, socket.SOCK_DGRAM):
            sock.close()
            raise ConfigurationError(f"descriptor {fd} is no Unix datagram socket")
        return cls(sock, os.fsdecode(sock.getsockname()))

    def fileno(self) -> int:
        """The descriptor, for waiting until something can be received, and for keeping a duplicate."""
        return self._sock.fileno()

    def receive(self) -> list[Notice]:
        """Take the waiting messages, at most `BATCH_MAX`; never blocks, never raises because of what a sender did.

        A ``BARRIER=1`` is answered only when all that was sent before it has been returned by an earlier call, so that
        its sender stays alive until then; the socket remains readable for it.
        """
        notices: list[Notice] = []
        for _ in range(BATCH_MAX):
            if notices and self._barrier_is_next():
                break
            try:
                notice = self._receive_one()
            except BlockingIOError:
                break
            if notice is not None:
                notices.append(notice)
        return notices

    def close(self, *, unlink: bool = False) -> None:
        """Close the socket; with ``unlink`` remove its path too, unless something else has taken its place."""
        if unlink and self._inode is not None and _inode(self.path) == self._inode:
            with suppress(OSError):
                Path(self.path).unlink()
        self._sock.close()

    def _barrier_is_next(self) -> bool:
        try:
            # No room for descriptors: a peek would duplicate them into this process.
            return self._sock.recv(len(_BARRIER) + 2, socket.MSG_PEEK).strip() == _BARRIER
        except OSError:
            return False

    def _receive_one(self) -> Notice | None:
        data, ancillary, flags, _ = self._sock.recvmsg(DATAGRAM_BYTES_MAX, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        sender, fds = _unpack(ancillary)
        if flags & socket.MSG_CTRUNC:
            self.rejected[Rejection.FDS_LOST] += 1
        kept: tuple[int, ...] = ()
        try:
            fields = _parse(data, is_whole=not flags & socket.MSG_TRUNC)
            if fields == {"BARRIER": "1"}:
                return None
            if fields.get("FDSTORE") == "1":
                kept = fds
            elif fds:
                self.rejected[Rejection.FDS_UNASKED] += 1
            if sender is None:
                raise _RejectedError(Rejection.NO_SENDER)
            return Notice(*sender, fields, kept)
        except _RejectedError as error:
            self.rejected[error.reason] += 1
            kept = ()
            return None
        finally:
            close_fds(fd for fd in fds if fd not in kept)


class _RejectedError(Exception):
    def __init__(self, reason: Rejection) -> None:
        super().__init__(reason)
        self.reason = reason


def _parse(data: bytes, *, is_whole: bool) -> dict[str, str]:
    if not is_whole:
        raise _RejectedError(Rejection.TOO_LONG)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _RejectedError(Rejection.NOT_TEXT) from error
    if "\0" in text:
        raise _RejectedError(Rejection.NOT_TEXT)
    pairs = (line.partition("=") for line in text.split("\n"))
    fields = {key: value for key, sign, value in pairs if sign and _KEY.fullmatch(key)}
    if not fields:
        raise _RejectedError(Rejection.NO_FIELDS)
    return fields


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _unpack(ancillary: list[tuple[int, int, bytes]]) -> tuple[tuple[int, int] | None, tuple[int, ...]]:
    """The sender's pid and uid, and the descriptors."""
    sender: tuple[int, int] | None = None
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % _FD_BYTES])
        elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) == _CREDENTIALS.size:
            pid, uid, _ = _CREDENTIALS.unpack(data)
            sender = pid, uid
    return sender, tuple(fds)


def close_fds(fds: Iterable[int]) -> None:
    """Close descriptors, whatever state they are in."""
    for fd in fds:
        with suppress(OSError):
            os.close(fd)
