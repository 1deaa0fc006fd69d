# ruff: noqa: PTH112, PTH117 - quick: no pathlib
"""Where a supervisor keeps its sockets: a private directory whose name follows from the configuration's path.

Every command finds a running supervisor by the same rule, so nothing has to be written down anywhere. Paths are text
where commands need them to answer quickly: loading pathlib takes a sixth of the time they have.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping

from aeterna.kernel.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

SOCKET_PATH_BYTES_MAX = 107
"""What a Unix socket address holds, without its closing zero (``unix(7)``)."""


def runtime_directory(environ: Mapping[str, str], uid: int) -> str:
    """The directory below which supervisors of this user keep their sockets; it need not exist yet."""
    given = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(given):
        return f"{given}/aeterna"
    own = "/run" if uid == 0 else f"/run/user/{uid}"
    if os.path.isdir(own) and os.access(own, os.W_OK):
        return f"{own}/aeterna"
    return f"/tmp/aeterna-{uid}"  # noqa: S108 - private below: made with mode 0700, owner checked


def instance_directory(config: str, environ: Mapping[str, str], uid: int) -> str:
    """The directory of the supervisor that runs this configuration."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(config))).hexdigest()[:16]
    return f"{runtime_directory(environ, uid)}/{name}"


def make_private(directory: Path) -> Path:
    """Create the directory, and those above it that are ours, with mode 0700; refuses one that belongs to others."""
    for each in (directory.parent, directory):
        each.mkdir(mode=0o700, exist_ok=True)
        found = each.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise ConfigurationError(
                f"{each} must be a directory of user {os.getuid()} that nobody else can write to; "
                f"remove it, or set XDG_RUNTIME_DIR to a private directory"
            )
    return directory


def check_socket_path(path: Path) -> Path:
    """The path itself; raises `ConfigurationError` if it is too long for a Unix socket."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        raise ConfigurationError(
            f"socket path {str(path)!r} has {length} bytes; a Unix socket's path has at most {SOCKET_PATH_BYTES_MAX}: "
            f"choose a shorter one, or set XDG_RUNTIME_DIR to a shorter directory"
        )
    return path
