"""The load generator: an open loop of requests at a fixed rate, closed-loop clients, and clients that stay a while.

It knows addresses and requests, nothing of who serves or reloads. The open loop sends when a request is due, whatever
became of those before; the closed loop sends when its last one is answered. Nobody ever retries: a request without a
complete answer is a failure of its class. To open a new connection is no retry, when the server has closed the old one
between requests or has said that it will.

Inside another program: ``records = await generate(spec, stop)``. Beside it, as a process of its own that does not slow
its caller down: ``with LoadProcess(spec, folder) as load: load.start(); ...; records = load.stop()``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from bench.supervisor import records
from bench.supervisor.connection import Address, Answer, Connection, connect
from bench.supervisor.records import Kind, Outcome, Record
from bench.supervisor.streams import Pace, attempt

ROOT = Path(__file__).resolve().parents[2]
AFTER_FAILURE_S = 0.02
"""A closed-loop client whose request failed waits so long, so that a dead server is not flooded."""
TICK_S = 0.001
"""Event loops count in milliseconds; a shorter sleep would be none."""
STOP_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """How much of what.

    The open loop sends ``rate_per_s`` requests, evenly spaced; of them ``one_shot_share`` on connections of their own,
    the rest on ``pool_size`` keep-alive connections in turn. ``closed_clients`` each send again ``think_ms`` after an
    answer. ``sse_clients``, ``ws_clients`` and ``upload_clients`` do one stream after the other at ``pace``.
    """

    address: Address
    path: str = "/"
    rate_per_s: float = 0.0
    one_shot_share: float = 0.5
    pool_size: int = 32
    closed_clients: int = 0
    think_ms: float = 0.0
    sse_clients: int = 0
    ws_clients: int = 0
    upload_clients: int = 0
    pace: Pace = field(default_factory=Pace)
    timeout_s: float = 10.0


class Load:
    """One run of the generator; `records` grows while it runs."""

    def __init__(self, spec: LoadSpec, stop: asyncio.Event) -> None:
        self.records: list[Record] = []
        self._spec = spec
        self._stop = stop
        self._once = f"GET {spec.path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode()
        self._again = f"GET {spec.path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self._idle: deque[Connection] = deque()
        self._busy_count = 0

    async def run(self) -> None:
        """Until ``stop`` is set and every request under way has ended."""
        spec = self._spec
        async with asyncio.TaskGroup() as group:
            if spec.rate_per_s:
                group.create_task(self._arrivals(group))
            for _ in range(spec.closed_clients):
                group.create_task(self._closed_client())
            counts = {Kind.SSE: spec.sse_clients, Kind.WEBSOCKET: spec.ws_clients, Kind.UPLOAD: spec.upload_clients}
            for kind, count in counts.items():
                for number in range(count):
                    group.create_task(self._stream_client(kind, number / count))
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)

    async def _arrivals(self, group: asyncio.TaskGroup) -> None:
        """The open loop: whatever is due is sent, late ones at once."""
        interval_s = 1 / self._spec.rate_per_s
        due_s = monotonic()
        one_shots = 0.0
        while not self._stop.is_set():
            while due_s <= monotonic():
                due_s += interval_s
                one_shots += self._spec.one_shot_share
                if one_shots >= 1:
                    one_shots -= 1
                    group.create_task(self._one_shot())
                else:
                    group.create_task(self._keep_alive())
            await asyncio.sleep(max(due_s - monotonic(), TICK_S))

    async def _ask(self, connection: Connection | None, request: bytes) -> tuple[Answer, Connection | None]:
        """Ask on that connection, or a new one: what became of it, and the connection if it is good for more."""
        found = connection or await connect(self._spec.address, self._spec.timeout_s)
        if isinstance(found, Outcome):
            return Answer(found), None
        answer = await found.ask(request, self._spec.timeout_s)
        return answer, found if found.is_open else None

    async def _one_shot(self) -> None:
        sent_s = monotonic()
        answer, connection = await self._ask(None, self._once)
        self._record(sent_s, Kind.ONE_SHOT, answer)
        if connection is not None:
            connection.close()

    async def _keep_alive(self) -> None:
        """On the connection that has been idle longest; on a new one while the pool is not full."""
        sent_s = monotonic()
        self._busy_count += 1
        answer, connection = await self._ask(self._from_pool(), self._again)
        self._busy_count -= 1
        self._record(sent_s, Kind.KEEP_ALIVE, answer)
        if connection is not None and len(self._idle) < self._spec.pool_size:
            self._idle.append(connection)
        elif connection is not None:
            connection.close()

    def _from_pool(self) -> Connection | None:
        while self._idle and not self._idle[0].is_open:
            self._idle.popleft()
        is_full = len(self._idle) + self._busy_count > self._spec.pool_size
        return self._idle.popleft() if self._idle and is_full else None

    async def _closed_client(self) -> None:
        connection: Connection | None = None
        while not self._stop.is_set():
            sent_s = monotonic()
            if connection is not None and not connection.is_open:
                connection = None
            answer, connection = await self._ask(connection, self._again)
            self._record(sent_s, Kind.CLOSED_LOOP, answer)
            pause_s = self._spec.think_ms / 1000 if answer.outcome is Outcome.OK else AFTER_FAILURE_S
            if pause_s:
                await asyncio.sleep(pause_s)
        if connection is not None:
            connection.close()

    async def _stream_client(self, kind: Kind, phase: float) -> None:
        """One stream after the other. ``phase``: what part of one to wait first, so that not all end at once."""
        pace = self._spec.pace
        await asyncio.sleep(phase * pace.pieces * pace.pause_ms / 1000)
        while not self._stop.is_set():
            sent_s = monotonic()
            answer = await attempt(kind.value, self._spec.address, self._spec.pace)
            self._record(sent_s, kind, answer)
            if answer.outcome is not Outcome.OK:
                await asyncio.sleep(AFTER_FAILURE_S)

    def _record(self, sent_s: float, kind: Kind, answer: Answer) -> None:
        latency_ms = (monotonic() - sent_s) * 1000
        self.records.append(Record(sent_s, latency_ms, kind, answer.outcome, answer.status, answer.pid, answer.release))


async def generate(spec: LoadSpec, stop: asyncio.Event) -> list[Record]:
    """Make the load until ``stop`` is set; the records in the order in which the requests ended."""
    load = Load(spec, stop)
    await load.run()
    return load.records


class LoadFailed(Exception):
    """The generator's process ended without its records."""


class LoadProcess:
    """The load as a process of its own. Leaving the ``with`` block kills it if it still runs."""

    def __init__(self, spec: LoadSpec, folder: Path) -> None:
        self._spec = spec
        self._order = folder / "load.json"
        self._result = folder / "records.json"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> LoadProcess:
        """Start it; returns when the first requests are on their way."""
        self._order.write_text(json.dumps(asdict(self._spec)))
        self._result.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.supervisor.load", str(self._order), str(self._result)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None, "opened as a pipe"
        if not self._process.stdout.readline():
            raise LoadFailed(f"the load generator ended with code {self._process.wait()}")
        return self

    def stop(self) -> list[Record]:
        """End it; all records, those of requests that were under way included."""
        assert self._process is not None, "started"
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(STOP_LIMIT_S)
        self._close()
        if code != 0:
            raise LoadFailed(f"the load generator ended with code {code}")
        return records.read(self._result)

    def __enter__(self) -> LoadProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()


def spec_from_json(text: str) -> LoadSpec:
    """The inverse of ``json.dumps(asdict(spec))``."""
    plain = json.loads(text)
    plain["address"] = Address(**plain["address"])
    plain["pace"] = Pace(**plain["pace"])
    return LoadSpec(**plain)


async def _until_asked_to_stop(spec: LoadSpec) -> list[Record]:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("started", flush=True)
    return await generate(spec, stop)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop costs a third less, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def main(order: Path, result: Path) -> None:
    """The process: make the load of the order until SIGTERM, then write the records."""
    gc.disable()  # records are all there is, and they stay
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -5)  # measuring late would blame the servers
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        records.write(result, runner.run(_until_asked_to_stop(spec_from_json(order.read_text()))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
