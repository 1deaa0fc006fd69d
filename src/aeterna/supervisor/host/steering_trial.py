"""Whether this kernel lets a program choose the socket for a new connection: tried, not guessed from a version.

A trial uses two sockets of its own on a free loopback port, so it disturbs nobody. It knows nothing of services.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import socket
import struct

from aeterna.supervisor.host.bpf import Split, steering_program
from aeterna.supervisor.host.probe_ports import LOOPBACK, PROBE_SOURCES

SO_ATTACH_REUSEPORT_CBPF = 51
INSTRUCTION_BYTES = 8
TRIAL_TIMEOUT_S = 1.0


def attach(sock: socket.socket, program: bytes) -> None:
    """Give the program to the socket's whole ``SO_REUSEPORT`` group, replacing the one before. Raises `OSError`."""
    code = ctypes.create_string_buffer(program, len(program))
    count = len(program) // INSTRUCTION_BYTES
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", count, ctypes.addressof(code)))


@functools.cache
def steering_works(family: int) -> bool:
    """Whether probes and other connections arrive where a program sends them, in this family. Never raises."""
    try:
        with contextlib.ExitStack() as stack:
            return _try(family, stack)
    except (OSError, AttributeError, ValueError):
        return False


def _try(family: int, stack: contextlib.ExitStack) -> bool:
    """Both indices get a probe and a stranger's connection, crosswise."""
    first = stack.enter_context(_listening(family, 0))
    pair = (first, stack.enter_context(_listening(family, first.getsockname()[1])))
    for probe in (0, 1):
        attach(first, steering_program(PROBE_SOURCES.match, Split(0, 1, 100 * (1 - probe), probe)))
        ordinary = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        own, _ = PROBE_SOURCES.bound_socket(family)
        stack.enter_context(own)
        for client, index in ((own, probe), (ordinary, 1 - probe)):
            client.settimeout(TRIAL_TIMEOUT_S)
            client.connect(first.getsockname()[:2])
            landed, peer = pair[index].accept()
            landed.close()
            if peer[:2] != client.getsockname()[:2]:
                return False
    return True


def _listening(family: int, port: int) -> socket.socket:
    with contextlib.ExitStack() as on_failure:
        sock = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((LOOPBACK[socket.AddressFamily(family)], port))
        sock.listen(4)
        sock.settimeout(TRIAL_TIMEOUT_S)
        on_failure.pop_all()
        return sock
