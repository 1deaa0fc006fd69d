"""What has to run before anything can be measured: databases, servers, workers, each in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.server.program import ROOT, Program, ProgramFailed, python
from tests.cluster.processes import free_ports
from tests.stores.postgres_server import PostgresServer

RESTATE_VERSION = "1.7.12"
START_S = 60.0


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that syncs what it commits, with a database for each system."""
    with PostgresServer(fsync=True) as server:
        yield server


@contextlib.contextmanager
def aeterna_server(db: str, *options: str, port: int | None = None) -> Iterator[tuple[str, Program]]:
    """``aeterna serve``, ready; its address and its process."""
    port = port or free_ports(1)[0]
    command = [sys.executable, "-m", "aeterna", "serve", "--db", db, "--grpc-port", str(port)]
    command += ["--http-port", "0", *options]
    with Program(command) as program:
        wait(lambda: "ready:" in program.words(), program, "aeterna serve")
        yield f"127.0.0.1:{port}", program


@contextlib.contextmanager
def workers(server: str, count: int, **order: Any) -> Iterator[list[Program]]:
    """So many workers, which have said hello to the server."""
    with contextlib.ExitStack() as life:
        given = {"does": "work", "server": server, **order}
        yield [life.enter_context(Program(python("bench.server.aeterna_program", given))) for _ in range(count)]


@contextlib.contextmanager
def restate(server_of_service: str, folder: Path) -> Iterator[int]:
    """Restate's server with our service behind hypercorn or granian; the port of its ingress."""
    ingress, admin, node, service = free_ports(4)
    environment = {
        "RESTATE_BASE_DIR": str(folder),
        "RESTATE_NODE_NAME": "bench",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "warn",
        "DO_NOT_TRACK": "1",
    }
    with Program([str(restate_binary())], environment) as server, Program(_service(server_of_service, service)) as app:
        wait(lambda: _answers(f"http://127.0.0.1:{admin}/health"), server, "restate-server")
        wait(lambda: _registered(admin, service), app, server_of_service)
        yield ingress


def _service(name: str, port: int) -> list[str]:
    """One process, on uvloop; Restate wants HTTP/2."""
    place, target = f"127.0.0.1:{port}", "bench.server.restate_service:app"
    if name == "granian":
        words = ["granian", "--interface", "asgi", "--http", "2", "--host", "127.0.0.1", "--port", str(port)]
        return [sys.executable, "-m", *words, "--workers", "1", "--loop", "uvloop", "--log-level", "error", target]
    words = ["hypercorn", "--bind", place, "--worker-class", "uvloop", "--log-level", "error", target]
    return [sys.executable, "-m", *words]


def restate_binary() -> Path:
    """Restate's server, put beside the benchmark's packages by npm at its first use."""
    folder = Path(sys.prefix) / "npm"
    found = sorted(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        npm = shutil.which("npm")
        if npm is None:
            raise ProgramFailed("npm is not installed, and Restate's server comes from it")
        folder.mkdir(parents=True, exist_ok=True)
        words = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        environment = {**os.environ, "npm_config_cache": str(folder / "cache"), "npm_config_update_notifier": "false"}
        subprocess.run(
            [*words, f"@restatedev/restate-server@{RESTATE_VERSION}"], check=True, cwd=folder, env=environment,
            capture_output=True, timeout=180,
        )  # fmt: skip
        found = sorted(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    return found[0]


def wait(condition: Any, program: Program, what: str) -> None:
    """Until it holds; fails if the process ends before."""
    deadline = time.monotonic() + START_S
    while not condition():
        if program.has_ended() or time.monotonic() > deadline:
            raise ProgramFailed(f"{what} did not start:\n{program.words()[-3000:]}")
        time.sleep(0.02)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _registered(admin: int, service: int) -> bool:
    body = json.dumps({"uri": f"http://127.0.0.1:{service}", "force": True}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"}, method="POST"
    )
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
        return bool(answer.status < 300)
    return False


__all__ = ["ROOT", "aeterna_server", "postgres", "restate", "wait", "workers"]
