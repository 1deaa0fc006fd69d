"""The file of a Unix socket: made under a temporary name, moved into place, recognised by its inode.

It knows paths, nothing of services. Invariant: the path names a socket that listens, or what was there before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from pathlib import Path

from aeterna.config.places import check_socket_path
from aeterna.config.spec import SocketSpec
from aeterna.kernel.errors import ConfigurationError
from aeterna.supervisor.host import port_holder
from aeterna.supervisor.host.bind_error import BindError

CREDENTIALS = struct.Struct("=iII")


def temporary(path: str) -> Path:
    """The name beside ``path`` under which this process binds."""
    target = Path(path)
    return target.with_name(f".{target.name}.{os.getpid()}")


def bind(sock: socket.socket, path: str, permissions: int, backlog: int) -> int:
    """Make ``sock`` listen at ``path``, replacing what is there. Returns the file's inode; raises `OSError`."""
    name = temporary(path)
    name.unlink(missing_ok=True)
    sock.bind(os.fspath(name))
    try:
        name.chmod(permissions)
        sock.listen(backlog)
        inode = name.stat().st_ino
        name.rename(path)
    except OSError:
        name.unlink(missing_ok=True)
        raise
    return inode


def inode_at(path: str) -> int | None:
    """The inode of the file there; None if there is none."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return None


def listener_pid(path: str) -> int | None:
    """The process that listens there: its pid, 0 if that cannot be known, None if nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except BlockingIOError:
            pass  # its queue is full: somebody listens
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except OSError:
            return 0  # we may not look: then we may not replace it either
        with contextlib.suppress(OSError, AttributeError):
            pid, _, _ = CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
            return int(pid)
        return 0


def open_unix(spec: SocketSpec) -> tuple[socket.socket, int]:
    """A socket that listens at the path, and the inode of its file. Raises `BindError`.

    It is bound to a temporary name and renamed: no client ever meets a path without a listener.

    The socket goes on believing in its temporary name. That protects the path: servers that unlink "their" socket when
    they end (asyncio from 3.13, gunicorn) find nothing to remove.
    """
    try:
        check_socket_path(temporary(spec.path))
    except ConfigurationError as error:
        raise BindError(spec, str(error), "choose a shorter path") from error
    _clear_path(spec)
    with contextlib.ExitStack() as on_failure:
        sock = on_failure.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            inode = bind(sock, spec.path, spec.permissions, spec.backlog)
        except OSError as error:
            remedy = "create the directory, let this user write to it, or choose another path"
            raise BindError(spec, error.strerror or str(error), remedy, code=error.errno or 0) from error
        sock.setblocking(False)
        on_failure.pop_all()
        return sock, inode


def _clear_path(spec: SocketSpec) -> None:
    """Refuse a path that is in use; a stale socket is replaced by the rename."""
    try:
        found = os.lstat(spec.path)
    except OSError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise BindError(spec, "there is a file of that name which is no socket", "move it away, or choose another path")
    pid = listener_pid(spec.path)
    if pid is not None:
        who = port_holder.PortHolder(pid, port_holder.command_line(pid)) if pid else "a process we may not look at"
        raise BindError(spec, f"it is in use by {who}", "stop it, or choose another path", code=errno.EADDRINUSE)
