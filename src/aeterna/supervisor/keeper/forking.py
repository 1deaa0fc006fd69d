"""A fork whose child is born into a control group.

To move a process into a group costs the kernel a grace period, some 15 ms on a machine that does not do it all the
time; to be born there costs nothing (Linux 5.7). Python has no such call, so it is made here, which is safe under two
conditions: this process has one thread, and the child does nothing but become another program. What `os.fork` would
tidy up after threads and for the interpreter's later life is then of no use.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

_CLONE3 = 435  # the same number on every architecture that has it
_CLONE_INTO_CGROUP = 1 << 33
_ARGUMENTS = struct.Struct("=11Q")
# Holds the interpreter's lock during the call, so that the child has it, too.
_libc = ctypes.PyDLL(None, use_errno=True)


def fork(group: str) -> tuple[int, bool]:
    """The child's pid, 0 in the child; and whether it is in the group already, or has to enter it by itself.

    Without a group, or where the system cannot do it, this is `os.fork`. Raises OSError.
    """
    pid = _fork_into(group) if group and sys.platform == "linux" else -1
    return (pid, True) if pid >= 0 else (os.fork(), False)


def _fork_into(group: str) -> int:
    """-1 if it could not be done, for whatever reason: the ordinary way finds out and says so."""
    try:
        group_fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return -1
    arguments = _ARGUMENTS.pack(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, group_fd)
    try:
        return int(_libc.syscall(_CLONE3, arguments, ctypes.c_size_t(_ARGUMENTS.size)))
    finally:
        os.close(group_fd)
