"""A cluster of real processes: one PostgreSQL, several ``aeterna serve``, several workers, and what can be done to it.

Everything ends with the ``with`` block, by process id. What was seen is gathered in `Observed` at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.stores.contract import QueueRow, QueueState, RunQuery, RunRow
from aeterna.durable.stores.postgres import PostgresStore
from tests.cluster import audit
from tests.cluster.client import Client, PlannedRun, expected_results
from tests.cluster.credentials import Credentials
from tests.cluster.hosts import Host
from tests.cluster.observed import Interval, Observed, Stop
from tests.cluster.processes import Process, Server, Worker, free_ports, now_us
from tests.cluster.program import NAMESPACE, NARROW, ExecutionFile
from tests.stores.postgres_server import PostgresServer

LEASE_S = 2.0
NARROW_LIMIT = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """``servers``, ``workers``: where each of them runs. ``step_s``: how long a step takes."""

    servers: Sequence[Host]
    workers: Sequence[Host]
    step_s: float = 0.005
    credentials: Credentials = field(default_factory=Credentials)


class Cluster:
    """The processes. ``servers`` and ``workers`` are those that are meant to live; a killed one gets a successor."""

    def __init__(self, folder: Path, postgres: PostgresServer, shape: Shape) -> None:
        self.folder = folder
        self.postgres = postgres
        self.shape = shape
        self.executions = ExecutionFile(folder / "executions")
        self.outages: list[Interval] = []
        self.stops: list[Stop] = []
        self._stopped_us: dict[int, int] = {}
        ports = free_ports(len(shape.servers))
        self.addresses = [(host.address, port) for host, port in zip(shape.servers, ports, strict=True)]
        self.servers: list[Server] = []
        self.workers: list[Worker] = []
        self._all: list[Process] = []

    async def __aenter__(self) -> Self:
        store = PostgresStore(self.postgres.url, NAMESPACE)
        await store.open()
        await store.put_queue(QueueRow(NARROW, concurrency=NARROW_LIMIT))
        await store.close()
        await audit.install(self.postgres.url)
        try:
            self.servers = list(await asyncio.gather(*map(self.start_server, range(len(self.shape.servers)))))
            self.workers = [self.start_worker(number) for number in range(len(self.shape.workers))]
        except BaseException:
            self._end_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_all()

    @property
    def server_list(self) -> str:
        """All servers, as a client or worker is told."""
        return ",".join(f"{host}:{port}" for host, port in self.addresses)

    async def start_server(self, number: int) -> Server:
        """A server at its place; returns when it is ready."""
        shape, (address, port) = self.shape, self.addresses[number]
        host = shape.servers[number]
        database = "{}:{}".format(*host.way_to("127.0.0.1", self.postgres.port))

        def start() -> Server:
            return Server(
                f"postgresql://postgres@{database}/postgres", address, port, self.folder / f"server-{number}.log",
                "--lease", str(LEASE_S), *shape.credentials.options, prefix=host.prefix,
            )  # fmt: skip

        server = await asyncio.to_thread(start)
        self._all.append(server)
        return server

    def start_worker(self, number: int) -> Worker:
        """A worker at its place; it needs a moment until it takes runs. They know the servers in different orders."""
        shape, host = self.shape, self.shape.workers[number]
        servers = ["{}:{}".format(*host.way_to(*address)) for address in self.addresses]
        turn = number % len(servers)
        worker = Worker(
            ",".join(servers[turn:] + servers[:turn]), self.executions.path, self.folder / f"worker-{number}.log",
            step_s=shape.step_s, prefix=host.prefix, environment=shape.credentials.environment,
        )  # fmt: skip
        self._all.append(worker)
        return worker

    async def is_connected(self, worker: Worker) -> bool:
        """It has a session; not known while the database is away."""
        try:
            return worker.pid in (await audit.read_processes(self.postgres.url)).values()
        except (OSError, asyncpg.PostgresError):
            return False

    def freeze_worker(self, number: int) -> None:
        """It stops where it is."""
        worker = self.workers[number]
        worker.freeze()
        self._stopped_us[worker.pid] = now_us()

    def thaw_worker(self, number: int) -> None:
        """A frozen worker goes on."""
        worker = self.workers[number]
        self.stops.append(Stop(worker.pid, self._stopped_us.pop(worker.pid), now_us()))
        worker.thaw()

    async def observe(self, planned: list[PlannedRun], client: Client) -> Observed:
        """Everything that can be known when the client is done; ends all processes but the database."""
        ended_us = now_us()
        rows, histories, queues = await self._read_store()
        return Observed(
            rows=rows,
            histories=histories,
            expected=expected_results(planned),
            versions=await audit.read_versions(self.postgres.url),
            executions=self.executions.read(),
            processes=await audit.read_processes(self.postgres.url),
            signals=client.signals,
            outages=self.outages,
            stops=self.stops,
            limits={NARROW: NARROW_LIMIT},
            queues=queues,
            lease_us=int(LEASE_S * 1e6),
            ended_us=ended_us,
        )

    async def _read_store(self) -> tuple[dict[str, RunRow], dict[str, list[AnyEvent]], list[QueueState]]:
        store = PostgresStore(self.postgres.url, NAMESPACE)
        await store.open()
        try:
            rows = {row.id: row for row in (await store.list_runs(RunQuery(limit=100_000))).rows}
            histories = {run_id: await store.history(run_id) for run_id in rows}
            return rows, histories, await store.list_queues()
        finally:
            await store.close()

    def _end_all(self) -> None:
        for process in self._all:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def words(self) -> str:
        """The last words of all processes, for a failed test."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text('utf-8', 'replace')[-3000:]}" for log in logs)


def on_this_host(servers: int, workers: int, step_s: float = 0.005) -> Shape:
    """Everything at 127.0.0.1."""
    return Shape([Host()] * servers, [Host()] * workers, step_s=step_s)
