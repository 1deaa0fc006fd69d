"""Asking the process that owns a store, from another process of the same user (see ``control`` for the other end)."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from aeterna.kernel import errors
from aeterna.kernel.errors import AeternaError, StoreError, UsageError

SOCKET_PATH_BYTES_MAX = 100
ANSWER_S_MAX = 30.0


def socket_path(store: Path) -> Path:
    """Where the owner of a store listens: beside the file, or under a short name in a private directory where that is
    too long."""
    beside = store.resolve().with_name(store.name + ".sock")
    if len(os.fsencode(beside)) <= SOCKET_PATH_BYTES_MAX:
        return beside
    name = hashlib.blake2b(os.fsencode(beside), digest_size=12).hexdigest()
    base = os.environ.get("XDG_RUNTIME_DIR") or _temporary_directory()
    return Path(base) / f"aeterna-{os.getuid()}" / f"{name}.sock"


def ask_owner(store: Path, request: dict[str, Any], *, answer_s_max: float = ANSWER_S_MAX) -> dict[str, Any] | None:
    """Ask the process that owns a store; None if nobody listens. Raises the error it answers with.

    Synchronous, because a command asks one thing and has no time to load an event loop.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(answer_s_max)
        try:
            connection.connect(os.fspath(socket_path(store)))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except OSError as error:
            raise _silent(store, error) from error
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except TimeoutError as error:
            raise _silent(store, error) from error
        except ConnectionError:
            line = b""
    if not line:
        raise StoreError(f"the process that owns {store} ended before it answered; try again")
    return _open_answer(json.loads(line))


def _silent(store: Path, error: OSError) -> StoreError:
    return StoreError(f"the process that owns {store} does not answer on {socket_path(store)}: {error}")


def _open_answer(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" not in answer:
        return answer
    kind = getattr(errors, str(answer["error"]), None)
    if isinstance(kind, type) and issubclass(kind, AeternaError):
        raise kind(answer["message"])
    raise UsageError(answer["message"])


def _temporary_directory() -> str:
    # Needed for very long paths only, and slow to import.
    import tempfile

    return tempfile.gettempdir()
