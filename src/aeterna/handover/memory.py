"""Memory that has a descriptor: made, sealed, mapped, checked. Linux's memfd, and a file without a name elsewhere.

A sealed memory cannot change any more, so whoever gets it may trust what it has checked. A *live* memory (a buffer) is
sealed only against changes of size: it is passed on, not copied, and its next owner writes to it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ctypes

_ADD_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033)
_GET_SEALS = getattr(fcntl, "F_GET_SEALS", 1034)
SEAL_SEAL, SEAL_SHRINK, SEAL_GROW, SEAL_WRITE = 1, 2, 4, 8
SIZE_SEALS = SEAL_SHRINK | SEAL_GROW
ALL_SEALS = SIZE_SEALS | SEAL_WRITE | SEAL_SEAL
HAS_SEALS = hasattr(os, "memfd_create")
_MAP_FIXED = 0x10
_MAP_POPULATE = getattr(mmap, "MAP_POPULATE", 0)
_ADDRESS_MAX = 2 * sys.maxsize + 1
DIGESTS = ("xxh3-128", "sha256")

Data = bytes | bytearray | memoryview


class Hash(Protocol):
    """What a digest is computed with."""

    def update(self, data: Data, /) -> None: ...
    def hexdigest(self) -> str: ...


def create(name: str, size: int = 0) -> int:
    """A new memory of that size, filled with zeros; the caller owns the descriptor. Raises `OSError`.

    The name is for people who look into ``/proc``.
    """
    if HAS_SEALS:
        plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:200]
        fd = os.memfd_create(f"aeterna:{plain}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, size)
    except (OSError, OverflowError):
        os.close(fd)
        raise
    return fd


def create_sealed(name: str, data: Data) -> int:
    """A sealed memory that holds the data; the caller owns the descriptor. Raises `OSError`."""
    fd = create(name)
    try:
        write(fd, data)
    except OSError:
        os.close(fd)
        raise
    seal(fd)
    return fd


def seal(fd: int, seals: int = ALL_SEALS) -> None:
    """Seal it; where the system has no seals nothing happens."""
    with suppress(OSError):
        fcntl.fcntl(fd, _ADD_SEALS, seals)


def seals_of(fd: int) -> int:
    """Its seals; 0 where there are none."""
    try:
        return fcntl.fcntl(fd, _GET_SEALS)
    except OSError:
        return 0


def write(fd: int, data: Data) -> None:
    """Write all of it at the present place. Raises `OSError`."""
    with memoryview(data).cast("B") as view:
        done = 0
        while done < len(view):
            done += os.write(fd, view[done:])


def size_of(fd: int) -> int:
    """In bytes. Raises `OSError`."""
    return os.fstat(fd).st_size


def identity(fd: int) -> tuple[int, int]:
    """The same for all descriptors of one memory, and for no other. Raises `OSError`."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def content(fd: int, *, populates: bool = True) -> memoryview:
    """What it holds, for reading; ``populates``: all pages are present. The mapping goes with the view.

    Raises `OSError`.
    """
    size = size_of(fd)
    if not size:
        return memoryview(b"")
    flags = mmap.MAP_SHARED | (_MAP_POPULATE if populates else 0)
    return memoryview(mmap.mmap(fd, size, flags=flags, prot=mmap.PROT_READ))


# --- mappings that stay where they are -------------------------------------------------------------------------------


def reserve(size: int) -> mmap.mmap:
    """A place of that size among the addresses of this process, for `map_over`. Raises `OSError`."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def map_over(mapped: mmap.mmap, fd: int, *, is_writable: bool, populates: bool) -> None:
    """Show the memory of ``fd`` at the place of what is mapped there; views of it stay valid.

    ``populates``: all its pages are present afterwards. The mapping holds no descriptor. Raises `OSError`.
    """
    libc = _libc()
    flags = mmap.MAP_SHARED | _MAP_FIXED | (_MAP_POPULATE if populates else 0)
    found = libc.mmap(_address(mapped), len(mapped), _protection(is_writable), flags, fd, 0)
    # What says that it failed is -1, as an address.
    if found == _ADDRESS_MAX:
        raise _error(f"cannot map {len(mapped)} bytes")


def protect(mapped: mmap.mmap, *, is_writable: bool) -> None:
    """Allow or forbid writing to what is mapped there. Raises `OSError`."""
    if _libc().mprotect(_address(mapped), len(mapped), _protection(is_writable)):
        raise _error("cannot change the protection of a mapping")


def _address(mapped: mmap.mmap) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(mapped))


def _protection(is_writable: bool) -> int:
    return mmap.PROT_READ | mmap.PROT_WRITE if is_writable else mmap.PROT_READ


def _libc() -> ctypes.CDLL:
    # Imported where it is used, as everything here that an application's start need not wait for.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc


def _error(text: str) -> OSError:
    import ctypes

    number = ctypes.get_errno()
    return OSError(number, f"{text}: {os.strerror(number)}")


# --- digests ---------------------------------------------------------------------------------------------------------


def new_hash(algorithm: str) -> Hash:
    """A fresh digest. Raises `ValueError` for an unknown algorithm."""
    if algorithm == "sha256":
        import hashlib

        return hashlib.sha256()
    if algorithm == "xxh3-128":
        import xxhash

        return xxhash.xxh3_128()  # type: ignore[return-value, unused-ignore]
    raise ValueError(f"digest {algorithm!r} is none of {', '.join(DIGESTS)}")


def warm_up() -> None:
    """Load ahead what digests need, so that no handover's pause has to wait for it."""
    for algorithm in DIGESTS:
        new_hash(algorithm)


def digest(data: Data, algorithm: str) -> str:
    """The digest of some bytes, in hexadecimal. Other threads go on meanwhile. Raises `ValueError`."""
    found = new_hash(algorithm)
    found.update(data)
    return found.hexdigest()
