"""A server that hangs: it accepts connections and says nothing. Whoever knows another address goes there."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aeterna import App, Context
from aeterna.cli.main import main
from aeterna.durable.core.states import State
from tests.stores.postgres_server import PostgresServer

READY = re.compile(r"ready: grpc (127\.0\.0\.1:\d+).*?(http://127\.0\.0\.1:\d+)")
LEASE_S = 3


@contextlib.contextmanager
def serving(database: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """``aeterna serve``, its gRPC address and the URL of its HTTP API."""
    command = [sys.executable, "-m", "aeterna", "serve", "--db", database, "--grpc-port", "0", "--http-port", "0"]
    command += ["--lease", str(LEASE_S)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            grpc, http = next(found.groups() for line in process.stderr if (found := READY.search(line)))
            yield process, grpc, http
        finally:
            process.kill()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with PostgresServer() as server:
        yield server.url


async def test_workers_clients_and_commands_go_to_the_next_address(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(database) as (hung, first, first_http), serving(database) as (_, second, second_http):
        app = App("hung", server=f"{first},{second}")

        @app.step
        async def part(number: int) -> int:
            return number

        @app.workflow
        async def work(ctx: Context, parts: int) -> int:
            await ctx.wait_signal("go")
            return sum([await part(number) for number in range(parts)])

        async with app, asyncio.timeout(60):
            before = await work.options(workflow_id="before").start(3)
            assert (await before.status()).state is State.RUNNING
            hung.send_signal(signal.SIGSTOP)
            after = await work.options(workflow_id="after").start(4)
            for run in (before, after):
                await run.signal("go")
            assert (await before.result(), await after.result()) == (3, 6)
            addresses = f"{first_http},{second_http}"
            code = await asyncio.to_thread(main, ["status", "before", "--app", "hung", "--server", addresses])
            assert code == 0
            assert "COMPLETED" in capsys.readouterr().out
            hung.send_signal(signal.SIGCONT)
