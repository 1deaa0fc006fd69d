"""The program of the workers: runs of ten steps in several manners, whose steps say what they did and where.

``python -m tests.cluster.program SERVERS FILE`` is a worker. Each execution of a step appends a line to the file with
one O_APPEND write, so that a SIGKILL leaves whole lines; nothing else is shared with the test.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from itertools import count
from pathlib import Path

from aeterna import App, Context
from aeterna.durable.sdk.settings import Server
from tests.cluster.observed import Execution

NAMESPACE = "chaos"
STEPS = 10
SIGNALS = 3
NARROW = "narrow"
"""A queue with a limit."""


class ExecutionFile:
    """Where the steps of all processes write down that they begin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tokens = count(1)

    def note(self, run_id: str, occurrence: int) -> str:
        """A step begins; returns the token of this execution."""
        token = f"{os.getpid()}-{next(self._tokens)}-{time.monotonic_ns()}"
        line = f"{time.time_ns() // 1000}\t{os.getpid()}\t{run_id}\t{occurrence}\t{token}\n".encode()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
        return token

    def read(self) -> list[Execution]:
        """Everything noted so far."""
        if not self.path.exists():
            return []
        fields = (line.split("\t") for line in self.path.read_text().splitlines())
        return [Execution(int(at), int(pid), run, int(number), token) for at, pid, run, number, token in fields]


def build(server: str | Server, path: Path = Path("/dev/null"), step_s: float = 0.005) -> App:
    """The app; ``step_s``: how long a step takes."""
    app = App(NAMESPACE, server=server)
    executions = ExecutionFile(path)

    @app.step
    async def work(run_id: str, occurrence: int) -> tuple[int, str]:
        token = executions.note(run_id, occurrence)
        await asyncio.sleep(step_s)
        return os.getpid(), token

    async def steps(ctx: Context, first: int, last: int) -> int:
        for occurrence in range(first, last + 1):
            await work(ctx.run_id, occurrence)
        return last

    @app.workflow
    async def plain(ctx: Context) -> int:
        return await steps(ctx, 1, STEPS)

    @app.workflow
    async def sleepy(ctx: Context, seconds: float) -> int:
        await steps(ctx, 1, STEPS // 2)
        await ctx.sleep(seconds)
        return await steps(ctx, STEPS // 2 + 1, STEPS)

    @app.workflow
    async def called(ctx: Context) -> int:
        heard = []
        for number in range(1, SIGNALS + 1):
            await steps(ctx, number, number)
            heard.append(await ctx.wait_signal("call", int))
        assert heard == list(range(1, SIGNALS + 1)), heard
        return await steps(ctx, SIGNALS + 1, STEPS)

    @app.workflow(queue=NARROW)
    async def queued(ctx: Context) -> int:
        return await steps(ctx, 1, STEPS)

    return app


async def main() -> None:
    """Serve until SIGTERM."""
    servers, path, step_s = sys.argv[1:4]
    server = Server(servers, token=os.environ.get("AETERNA_TOKEN"), ca=os.environ.get("AETERNA_TLS_CA"))
    await build(server, Path(path), float(step_s)).serve(name=f"worker {os.getpid()}")


if __name__ == "__main__":
    asyncio.run(main())
