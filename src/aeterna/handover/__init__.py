"""For applications: memory that outlives a reload, and servers that leave without cutting anybody off.

::

    from aeterna import handover

    sessions = handover.state("sessions", default=dict)  # after a reload it holds what the old process had

Started without a supervisor, everything here works locally and moves nothing. Needs the standard library only.
"""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aeterna.handover.client import client as _client
from aeterna.handover.gate import Gate, GateChange, ServingRole, gate
from aeterna.handover.hooks import Hook
from aeterna.handover.parts import CODECS, Buffer, BufferPart, LoadError, Part, ValuePart, codec_of_hooks

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = [
    "Buffer",
    "Gate",
    "GateChange",
    "LoadError",
    "ServingRole",
    "array",
    "buffer",
    "gate",
    "generation",
    "has_lease",
    "is_managed",
    "lifespan",
    "listen",
    "on_drain",
    "on_lease",
    "on_quiesce",
    "on_resume",
    "ready",
    "state",
    "status",
]

T = TypeVar("T")
NAME_CHARS_MAX = 200
HEARD_S_MAX = 1.0


def state(
    name: str,
    default: Callable[[], T],
    *,
    codec: str = "",
    dump: Callable[[T], bytes] | None = None,
    load: Callable[[T, bytes], None] | None = None,
    version: int = 1,
    versions: tuple[int, ...] = (),
) -> T:
    """An object that the next generation of this service will have, too.

    ``default`` makes it. After a reload the *same* object holds what the predecessor's held, before the first request
    is served. Dicts, lists and sets of JSON values work as they are (tuples come back as lists, in a set as tuples); a
    bytearray is moved raw. ``codec`` is ``json`` (default), ``msgpack`` (also bytes, dates and keys that are no
    strings) or ``raw``; or give ``dump`` and ``load``, where ``load(value, data)`` fills the object in place.
    ``version`` says how it is encoded by this code, ``versions`` which ones it can take besides.

    Raises `ValueError` if the name is taken, or a type has no codec and no hooks.
    """
    value = default()
    if dump is None or load is None:
        codec = codec or ("raw" if isinstance(value, bytearray) else "json")
        _check_codec(name, codec, value)
        if codec == "msgpack":
            # What a dump needs is loaded now: later, everybody would wait for it.
            import msgspec  # noqa: F401
        how = CODECS[codec]
    else:
        codec = codec or "custom"
        how = codec_of_hooks(dump, load)
    _declare(ValuePart(name, value, codec, how, version, frozenset({version, *versions})))
    return value


def _check_codec(name: str, codec: str, value: object) -> None:
    if codec not in CODECS:
        raise ValueError(f"state {name!r}: codec {codec!r} is none of {', '.join(CODECS)}")
    if not isinstance(value, (dict, list, set, bytearray)):
        raise ValueError(  # noqa: TRY004 - a type is as wrong a choice here as a name that is taken
            f"state {name!r}: a {type(value).__name__} cannot be filled in place by itself; "
            f"give dump= and load=, or keep it in a dict"
        )
    is_raw = isinstance(value, bytearray)
    if is_raw != (codec == "raw"):
        found = type(value).__name__
        raise ValueError(f"state {name!r}: codec 'raw' is for a bytearray, and only that; this is a {found}")


def buffer(name: str, size: int, *, version: int = 1) -> Buffer:
    """``size`` bytes of memory that move to the next generation without being copied: for what is large.

    Its views stay valid across a handover. Between being ready and having the lease, a new process sees its
    predecessor's memory there and cannot write to it (it is killed by SIGSEGV if it tries). On a rollback the old
    generation has it back as the new one left it. Raises `ValueError` if the name is taken or the size is not positive,
    `OSError` if there is no room.
    """
    return _buffer(name, size, "buffer", version)


def array(name: str, shape: tuple[int, ...], dtype: Any, *, version: int = 1) -> ndarray[Any, Any]:
    """A numpy array over such a buffer, filled with zeros at first.

    Its type and shape are part of its encoding: code that declares others cannot take it. Raises as `buffer`, and
    `ValueError` for a type that holds Python objects.
    """
    import numpy as np

    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError(f"array {name!r}: {kind} holds Python objects, which mean nothing to another process")
    size = math.prod(shape, start=kind.itemsize)
    encoding = f"array {kind.str} {'x'.join(str(length) for length in shape)}"
    return np.frombuffer(_buffer(name, size, encoding, version).view, dtype=kind).reshape(shape)


def _buffer(name: str, size: int, codec: str, version: int) -> Buffer:
    if size <= 0:
        raise ValueError(f"buffer {name!r}: its size is {size}; it must be a positive number of bytes")
    _refuse_twice(name)
    found = Buffer(name, size)
    _declare(BufferPart(name, found, codec, version, frozenset({version})))
    return found


def _declare(part: Part) -> None:
    _refuse_twice(part.name)
    _client().declare(part)


def _refuse_twice(name: str) -> None:
    if not 0 < len(name) <= NAME_CHARS_MAX:
        raise ValueError(f"state {name!r}: a name has 1 to {NAME_CHARS_MAX} characters")
    if name in _client().parts:
        raise ValueError(f"state {name!r} is declared twice in this process")


# --- where this process stands ---------------------------------------------------------------------------------------


def is_managed() -> bool:
    """Whether a supervisor runs this process."""
    return _client().is_managed


def generation() -> int:
    """The generation this process belongs to, from 1; 0 without a supervisor."""
    return _client().generation


def has_lease() -> bool:
    """Whether this process alone may change state, and run cron jobs and consumers. True without a supervisor."""
    return _client().has_lease


# --- hooks -----------------------------------------------------------------------------------------------------------


def on_quiesce(hook: Hook) -> Hook:
    """Call it when the state must not change any more; it returns when what changes it has stopped. A decorator.

    Hooks run one at a time, in a thread of their own. If this one raises, the handover is given up.
    """
    _client().hooks.quiesce.append(hook)
    return hook


def on_resume(hook: Hook) -> Hook:
    """Call it when this process serves again after a quiesce or a drain. A decorator."""
    _client().hooks.resume.append(hook)
    return hook


def on_drain(hook: Hook) -> Hook:
    """Call it when clients are being asked to leave. A decorator."""
    _client().hooks.drain.append(hook)
    return hook


def on_lease(acquired: Hook | None = None, revoked: Hook | None = None) -> None:
    """Call these when this process gets the lease, and when it loses it."""
    hooks = _client().hooks
    hooks.acquired.extend([acquired] if acquired else [])
    hooks.revoked.extend([revoked] if revoked else [])


# --- what is said to the supervisor, and got from it -----------------------------------------------------------------


def ready(text: str = "") -> None:
    """Say that this process can serve (``READY=1``), with a line for people.

    Before that the supervisor knows what this process can take over: it is waited for, but not for long.
    """
    _client().start()
    _client().wait_heard(HEARD_S_MAX)
    _notify("READY=1" + (f"\nSTATUS={text}" if text else ""))


def status(text: str) -> None:
    """A line for people, shown by `aeterna status`."""
    _notify(f"STATUS={text}")


def _notify(message: str) -> None:
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(message.encode(), "\0" + path[1:] if path.startswith("@") else path)


def listen(name: str = "", host: str = "127.0.0.1", port: int = 8080) -> socket.socket:
    """The listening socket of that name that the supervisor holds (the first one without a name).

    Without a supervisor: a fresh one on ``host`` and ``port``. Raises `LookupError` if there is none of that name.
    """
    from aeterna.handover.listening import inherited, listener_of

    fds = inherited()
    if fds:
        if name and name not in fds:
            raise LookupError(f"the supervisor holds no socket {name!r}; there are: {', '.join(fds)}")
        return listener_of(fds[name] if name else next(iter(fds.values())))
    return socket.create_server((host, port), backlog=128)


def lifespan(inner: Any = None, *, while_leased: Sequence[Any] = ()) -> Any:
    """A lifespan for FastAPI and Starlette that says when the application is ready.

    ``inner`` is your own. Each of ``while_leased``, called with the application, is a background job that runs only
    while this process has the lease.
    """
    from aeterna.handover import starlette_lifespan

    return starlette_lifespan.lifespan(inner, while_leased=while_leased)
