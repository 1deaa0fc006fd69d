"""A directory with a small service and its configuration, for tests that start a real supervisor there."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

from aeterna.cli.instance import Instance, find_instance
from tests.cli.conftest import give

SERVICE = """
import os, select, signal, socket, sys

listening = socket.socket(fileno=3)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
print("version", sys.argv[1], "serves", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    select.select([listening], [], [])
    try:
        connection, _ = listening.accept()
    except BlockingIOError:
        continue
    connection.sendall(sys.argv[1].encode())
    connection.close()
"""

CONFIG = """
version: v1
service:
  name: web
  command: ["{python}", "service.py", "{version}"]
sockets:
  http: {{listen: "127.0.0.1:0"}}
orchestration:
  strategy: immediate
  startup: {{ready: notify, timeout: 10s}}
  drain: {{lame_duck: 0s, timeout: 5s}}
"""


class Place:
    """A directory with a service, its configuration, and whatever supervisor a test starts there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "service.py").write_text(SERVICE)
        self.write("1")

    def write(self, version: str) -> None:
        """The configuration names another version of the code."""
        (self.directory / "aeterna.yaml").write_text(CONFIG.format(python=sys.executable, version=version))

    @property
    def instance(self) -> Instance:
        return find_instance(str(self.directory / "aeterna.yaml"))

    def status(self) -> dict[str, object]:
        found: dict[str, object] = give("status", "--json").json
        return found

    def service(self) -> dict[str, object]:
        """The document of the one service."""
        services = self.status()["services"]
        assert isinstance(services, list)
        found: dict[str, object] = services[0]
        return found

    def kill_everything(self) -> None:
        """Whatever is still there: the keeper first, so that it starts nothing again."""
        try:
            keeper = int(Path(self.instance.pid_file).read_text())
        except (OSError, ValueError):
            return
        pids = [keeper, *descendants(keeper)]
        for pid in pids:
            kill(pid)


def descendants(pid: int) -> list[int]:
    """The processes below it."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            child = int(stat.parent.name)
            found += [child, *descendants(child)]
    return found


def kill(pid: int) -> None:
    """End it if it is there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_gone(pid: int) -> None:
    """Return when the process has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], 10)[0], f"process {pid} is still there"
    finally:
        os.close(fd)
