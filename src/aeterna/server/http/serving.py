"""Serving an ASGI application on a socket of our own, inside this loop, by uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from aeterna.kernel.errors import ConfigurationError
from aeterna.server.ports import joined, who_holds

GRACE_S = 3
STREAMS_END_S = 0.2


class _Server(uvicorn.Server):
    """OS signals are whoever's who started the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def page(app: ASGIApp, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve while the block lasts, encrypted with ``tls``; gives the address.

    Raises `ConfigurationError` if somebody has the port."""
    listener = listening(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        interface="asgi3",
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]), name="aeterna-http")
    try:
        while not server.started and not task.done():
            await asyncio.wait([task], timeout=0.01)
        yield joined(host, listener.getsockname()[1])
    finally:
        server.should_exit = True
        done, _ = await asyncio.wait([task], timeout=STREAMS_END_S)
        if not done:
            # Streams end only when they are told to.
            server.force_exit = True
            await asyncio.wait([task], timeout=GRACE_S)
        task.cancel()
        listener.close()


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises `ConfigurationError` if somebody has the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named in full: asyncio lets small answers leave at once (TCP_NODELAY) only where it sees the protocol, and without
    # that each waits 40 ms for the acknowledgement of the one before.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        what = f"cannot listen on {joined(host, port)} ({error.strerror})"
        raise ConfigurationError(f"{what}: {who_holds(port)}. Stop that, or choose another port") from error
    return listener
