"""The kernel's count of full accept queues."""

from __future__ import annotations

import socket
from pathlib import Path

from aeterna.supervisor.host.overflows import listen_overflows


def test_a_full_queue_is_counted() -> None:
    """More connections than the queue of a listener holds, and nobody accepts."""
    before = listen_overflows()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        clients = [socket.socket() for _ in range(6)]
        try:
            for client in clients:
                client.setblocking(False)
                client.connect_ex(listening.getsockname())
            assert listen_overflows() > before
        finally:
            for client in clients:
                client.close()


def test_a_system_that_does_not_tell_counts_nothing(tmp_path: Path) -> None:
    assert listen_overflows(tmp_path / "none") == 0
    (tmp_path / "other").write_text("TcpExt: SyncookiesSent\nTcpExt: 3\n", encoding="ascii")
    assert listen_overflows(tmp_path / "other") == 0
