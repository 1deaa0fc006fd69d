"""Server and worker processes of a test; all are gone when it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """One process; ``line`` is what it said to be ready."""

    def __init__(self, arguments, pattern, directory, *, is_error=False):
        self.log = directory / f"{len(list(directory.glob('*.log')))}.log"
        stream = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=ROOT,
            stdout=stream if is_error else subprocess.PIPE,
            stderr=subprocess.PIPE if is_error else stream,
            text=True,
        )
        stream.close()
        pipe = self.process.stderr if is_error else self.process.stdout
        self.match = None
        said = []
        while self.match is None:
            line = pipe.readline()
            if not line:
                raise AssertionError(f"{arguments} ended: {''.join(said)}{self.log.read_text()}")
            said.append(line)
            self.match = re.search(pattern, line)

    @property
    def pid(self):
        return self.process.pid

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(20)


class Place:
    """Where the processes of a test live."""

    def __init__(self, directory):
        self.directory = directory
        self.started = []
        self.port = 0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def server(self, *options):
        arguments = ["aeterna", "serve", "--db", self.directory / "runs.db", "--grpc-port", self.port, *options]
        if "--http-port" not in options:
            # The one after the gRPC port may be somebody else's.
            arguments += ["--http-port", 0]
        server = Process([*arguments], r"grpc 127\.0\.0\.1:(\d+)", self.directory, is_error=True)
        self.port = int(server.match.group(1))
        self.started.append(server)
        return server

    def worker(self, name="w"):
        worker = Process(["tests.wire.cluster_app", self.address, name], "ready", self.directory)
        self.started.append(worker)
        return worker


@contextmanager
def place(directory):
    here = Place(directory)
    try:
        yield here
    finally:
        for process in here.started:
            if process.process.poll() is None:
                process.send(signal.SIGCONT)
                process.kill()
            for pipe in (process.process.stdout, process.process.stderr):
                if pipe is not None:
                    pipe.close()
