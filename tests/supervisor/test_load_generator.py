"""The load generator judges what a server does to a request, and never tries again; the figures made of it are right.

It is the witness in tests of reloads and in the benchmark, so it is held against servers that misbehave on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.supervisor.connection import Address
from bench.supervisor.load import LoadProcess, LoadSpec, generate
from bench.supervisor.records import Kind, Outcome, Record
from bench.supervisor.summary import Around, largest_gap_ms, percentile, series, summarise, switch

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-pid: 7\r\nx-release: 3\r\n\r\nok"
LAST = WHOLE.replace(b"x-pid", b"connection: close\r\nx-pid")


class Served:
    """A server, and how many requests and connections it has seen."""

    def __init__(self, answer: bytes, requests_enough: int) -> None:
        self.requests = 0
        self.connections = 0
        self.enough = asyncio.Event()
        self._answer = answer
        self._requests_enough = requests_enough

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every request of a connection; close it after an answer that says so, or that is not whole."""
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if self.requests >= self._requests_enough:
                    self.enough.set()
                writer.write(self._answer)
                await writer.drain()
                if self._answer != WHOLE:
                    break


@contextlib.asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[Address]:
    """A server for the block; every connection is handled to its end before it is left."""
    handling: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield Address(port=server.sockets[0].getsockname()[1])
        if handling:
            await asyncio.wait(handling)


async def records_of(served: Served, spec: LoadSpec) -> list[Record]:
    """The records of that load on that server, which ends the load when it has seen enough."""
    async with listening(served.handle) as address:
        return await generate(replace(spec, address=address), served.enough)


async def test_the_open_loop_sends_both_kinds_of_request_and_reads_who_answered() -> None:
    served = Served(WHOLE, requests_enough=60)
    records = await records_of(served, LoadSpec(Address(), rate_per_s=200, pool_size=2))
    assert {record.outcome for record in records} == {Outcome.OK}
    assert {(record.status, record.pid, record.release) for record in records} == {(200, 7, "3")}
    kinds = [record.kind for record in records]
    assert abs(kinds.count(Kind.ONE_SHOT) - kinds.count(Kind.KEEP_ALIVE)) <= 1
    assert served.connections < len(records), "some shared a connection"


async def test_a_closed_loop_stays_on_its_connection() -> None:
    served = Served(WHOLE, requests_enough=30)
    records = await records_of(served, LoadSpec(Address(), closed_clients=3))
    assert {record.outcome for record in records} == {Outcome.OK}
    assert served.connections == 3


async def test_a_new_connection_after_an_announced_close_is_no_failure() -> None:
    served = Served(LAST, requests_enough=30)
    records = await records_of(served, LoadSpec(Address(), closed_clients=3, rate_per_s=500))
    assert {record.outcome for record in records} == {Outcome.OK}
    assert served.connections == served.requests


@pytest.mark.parametrize(
    "answer",
    [b"", WHOLE[:-1], WHOLE[:20], WHOLE.replace(b"200 OK", b"503 No")],
    ids=["nothing", "all but one byte", "half a head", "an error"],
)
async def test_a_request_without_a_whole_good_answer_has_failed(answer: bytes) -> None:
    records = await records_of(Served(answer, requests_enough=5), LoadSpec(Address(), closed_clients=1, rate_per_s=200))
    assert {record.outcome for record in records} == {Outcome.FAILED}


async def test_nothing_is_ever_sent_twice() -> None:
    served = Served(b"", requests_enough=5)
    records = await records_of(served, LoadSpec(Address(), closed_clients=2))
    assert len(records) == served.requests


async def test_a_reset_is_told_from_a_close() -> None:
    enough = asyncio.Event()

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        enough.set()

    async with listening(reset) as address:
        records = await generate(LoadSpec(address, closed_clients=1), enough)
    assert {record.outcome for record in records} == {Outcome.RESET}


async def test_a_refused_connection_is_a_failure_of_its_own() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        stop = asyncio.Event()
        stop_soon = asyncio.get_running_loop().call_later(0.1, stop.set)
        records = await generate(LoadSpec(Address(port=nobody.getsockname()[1]), rate_per_s=200), stop)
        stop_soon.cancel()
    assert {record.outcome for record in records} == {Outcome.REFUSED}


async def test_silence_is_a_timeout() -> None:
    stop = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        stop.set()
        await reader.read()

    async with listening(silence) as address:
        records = await generate(LoadSpec(address, closed_clients=1, timeout_s=0.05), stop)
    assert [record.outcome for record in records] == [Outcome.TIMEOUT]
    assert records[0].latency_ms >= 50


async def test_the_load_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    served = Served(WHOLE, requests_enough=20)
    async with listening(served.handle) as address:
        with LoadProcess(LoadSpec(address, rate_per_s=200), tmp_path) as load:
            await asyncio.to_thread(load.start)
            await served.enough.wait()
            records = await asyncio.to_thread(load.stop)
    assert len(records) == served.requests
    assert {record.outcome for record in records} == {Outcome.OK}


def record(sent_s: float, latency_ms: float = 1.0, outcome: Outcome = Outcome.OK, release: str = "1") -> Record:
    """A record of which only these matter."""
    return Record(sent_s, latency_ms, Kind.ONE_SHOT, outcome, 200, 1, release)


def test_percentiles_take_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, each) for each in (0, 50, 99, 99.9, 100)] == [1, 50, 99, 100, 100]
    assert math.isnan(percentile([], 50))


def test_a_gap_is_the_time_without_a_success_up_to_the_ends_of_the_span() -> None:
    found = [record(0.0), record(0.1), record(0.2, outcome=Outcome.RESET), record(0.5)]
    assert largest_gap_ms(found) == pytest.approx(400)
    assert largest_gap_ms(found, 0.0, 2.0) == pytest.approx(1499)
    assert largest_gap_ms([], 0.0, 1.0) == 1000


def test_a_summary_counts_by_the_moment_of_sending() -> None:
    found = [record(0.0), record(1.0, outcome=Outcome.RESET), record(1.5, 10.0), record(2.0)]
    summary = summarise(found, 1.0, 2.0)
    assert (summary.requests, summary.failed, summary.p99_ms) == (2, 1, 10.0)
    assert summary.by_outcome == {"reset": 1, "ok": 1}


def test_a_switch_is_when_the_new_code_begins_and_the_old_one_ends() -> None:
    found = [record(0.0), record(1.0, release="2"), record(1.2, release="1"), record(1.3, release="2")]
    seen = switch(found, 0.5, 9.0, release=2)
    assert (seen.new_after_ms, seen.old_until_ms) == (pytest.approx(501), pytest.approx(701))


def test_series_lay_all_marks_over_each_other() -> None:
    found = [record(10.01), record(20.02, 5.0), record(20.03, outcome=Outcome.REFUSED), record(30.0)]
    [only] = series(found, [10.0, 20.0], Around(before_s=0.5, after_s=0.5, width_s=0.1))
    assert (only.offset_s, only.requests, only.failed, only.p50_ms, only.worst_ms) == (0.0, 3, 1, 1.0, 5.0)
