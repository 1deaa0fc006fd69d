"""HTTP over the Unix socket of a supervisor."""

from __future__ import annotations

# What `socket` puts around it takes another three milliseconds to load.
from _socket import AF_UNIX, SOCK_STREAM, socket

from aeterna.cli.http_connection import Answer, BrokenAnswerError, HttpConnection

__all__ = ["Answer", "BrokenAnswerError", "ControlConnection"]


class ControlConnection(HttpConnection):
    """As `HttpConnection`, to the socket at a path."""

    def __init__(self, path: str, timeout_s: float) -> None:
        connected = socket(AF_UNIX, SOCK_STREAM)
        connected.settimeout(timeout_s)
        try:
            connected.connect(path)
        except BaseException:
            connected.close()
            raise
        super().__init__(connected)
