"""What the socket tests share: opening listeners and connections, and waiting for a condition."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aeterna.config.spec import SocketSpec
from aeterna.supervisor.host.listeners import Colour, Listener, open_listener

DEADLINE_S = 10.0
RESET_ON_CLOSE = struct.pack("=ii", 1, 0)
IS_CHAOS = os.environ.get("AETERNA_CHAOS") == "1"


def tcp_spec(family: str = "tcp4", host: str = "127.0.0.1", port: int = 0, **more: Any) -> SocketSpec:
    return SocketSpec(name="http", family=family, host=host, port=port, **more)


@contextlib.contextmanager
def opened(spec: SocketSpec | None = None, *, colour_count: int = 2) -> Iterator[Listener]:
    listener = open_listener(spec or tcp_spec(), colour_count=colour_count)
    try:
        yield listener
    finally:
        listener.close(unlink=True)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.get_running_loop().run_in_executor(None, select.select, [], [], [], 0.002)


async def one_pass() -> None:
    """Let everything run once that can run now."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_soon(passed.set)
    await passed.wait()


def until_blocking(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        select.select([], [], [], 0.002)


def connect(address: tuple[str, int], source: tuple[str, int] | None = None) -> socket.socket:
    """A connection that is reset when it is closed, so that thousands leave no TIME_WAIT behind."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    sock.settimeout(DEADLINE_S)
    try:
        if source is not None:
            sock.bind(source)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def take_all(sock: socket.socket) -> int:
    """Accept and drop what waits there; how many that was."""
    count = 0
    while True:
        try:
            client, _ = sock.accept()
        except BlockingIOError:
            return count
        except ConnectionAbortedError:
            continue
        client.close()
        count += 1


def landings(
    listener: Listener, count: int, address: tuple[str, int], source: Callable[[], tuple[str, int]] | None = None
) -> dict[Colour, int]:
    """Open ``count`` connections, one after the other, and count where they arrive."""
    found = dict.fromkeys(Colour, 0)
    for _ in range(count):
        with connect(address, source() if source else None):
            until_blocking(lambda: select.select(listener.colours, [], [], 0)[0] != [])
            for at, sock in enumerate(listener.colours):
                found[Colour(at)] += take_all(sock)
    return found


def open_descriptors() -> set[str]:
    return {each.name for each in Path("/proc/self/fd").iterdir()}
