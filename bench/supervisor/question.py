"""Asking a service who answers, one connection at a time, for the program that measures (not the load)."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from time import monotonic, sleep

from bench.supervisor.connection import parse_head
from bench.supervisor.site import Site, SystemFailed

REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
IN_A_ROW, PAUSE_S = 20, 0.025


@dataclass(frozen=True, slots=True)
class Reply:
    """Who answered with 200."""

    pid: int
    release: str
    born: str = ""
    """First and last byte of the memory it was handed; empty for applications without any."""
    end: str = ""


def ask(port: int, limit_s: float) -> Reply | None:
    """One question on a connection of its own; None without a whole head that says 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as connection:
            connection.sendall(REQUEST)
            data = b""
            while (head := parse_head(data)) is None:
                piece = connection.recv(4096)
                if not piece:
                    return None
                data += piece
    except OSError:
        return None
    if head.status != 200:
        return None
    release, born, end = (head.fields.get(name, b"").decode() for name in (b"x-release", b"x-born", b"x-end"))
    return Reply(int(head.fields.get(b"x-pid", b"0")), release, born, end)


def wait_serving(site: Site, limit_s: float = 30.0, pause_s: float = 0.002) -> Reply:
    """The first 200; raises `SystemFailed` if none comes in time."""
    deadline_s = monotonic() + limit_s
    while (left_s := deadline_s - monotonic()) > 0:
        reply = ask(site.port, left_s)
        if reply is not None:
            return reply
        sleep(pause_s)
    raise SystemFailed(f"nothing serves after {limit_s:.0f} s\n{site.last_words()}")


def wait_all_new(site: Site, release: str, limit_s: float = 25.0) -> bool:
    """Whether this release alone answers, many times in a row, before the limit."""
    deadline_s = monotonic() + limit_s
    in_a_row = 0
    while in_a_row < IN_A_ROW:
        reply = ask(site.port, max(deadline_s - monotonic(), 0.01))
        in_a_row = in_a_row + 1 if reply is not None and reply.release == release else 0
        if monotonic() > deadline_s:
            return False
        sleep(PAUSE_S)
    return True
