"""Connecting without blocking, in two halves: between them the connection is under way and its address is known.

It knows sockets only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

Address = tuple[str, int]


def begin(sock: socket.socket, address: Address) -> None:
    """Start to connect a non-blocking socket; from now on it has its own address. Raises `OSError`.

    On loopback the handshake is mostly complete when this returns, before anybody could accept.
    """
    with contextlib.suppress(BlockingIOError):
        sock.connect(address)


async def wait_until_connected(sock: socket.socket, timeout_s: float) -> None:
    """Return when it is connected. Raises `OSError`, of which `TimeoutError` is one."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def set_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(sock.fileno(), set_ready)
    try:
        async with asyncio.timeout(timeout_s):
            await ready
    finally:
        loop.remove_writer(sock.fileno())
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
