"""Probes against real servers: what counts as an answer, whose fault a missing one is, and where probes come from."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import resource
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aeterna.config.spec import ProbeKind, ProbeSpec
from aeterna.supervisor.core.health import Sample
from aeterna.supervisor.host.dialing import read_address, show_address
from aeterna.supervisor.host.http_probe import BODY_BYTES_MAX
from aeterna.supervisor.host.probes import ExecResult, ProbeTarget, probe

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HTTP = ProbeSpec(kind=ProbeKind.HTTP, url="/health", timeout_ms=2_000)
TCP = ProbeSpec(kind=ProbeKind.TCP, timeout_ms=2_000)
EXEC = ProbeSpec(kind=ProbeKind.EXEC, command=("check", "it"), timeout_ms=1_000)
PORTS = 32
FIRST_PORT = 20_000 + os.getpid() % 256 * PORTS
"""A block below the ports that the kernel gives away, other for each process that runs these tests."""


def answering(answer: bytes, *, keeps_open: bool = False) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if keeps_open:
            await reader.read()

    return handle


def with_body(status: str, body: bytes = b"fine") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


OK = answering(with_body("200 OK"))


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1", path: Path | None = None) -> AsyncIterator[int]:
    """A server on a free port (or a path), whose handlers end with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    if path is None:
        server = await asyncio.start_server(handle, host, 0)
    else:
        server = await asyncio.start_unix_server(handle, path)
    try:
        yield 0 if path else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ap-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("status", "sample"),
    [
        ("200 OK", Sample.OK),
        ("204 No Content", Sample.OK),
        ("302 Found", Sample.OK),
        ("399 Odd", Sample.OK),
        ("400 Bad Request", Sample.FAILED),
        ("503 Service Unavailable", Sample.FAILED),
    ],
)
async def test_the_status_decides(status: str, sample: Sample) -> None:
    async with serving(answering(with_body(status, b"" if status.startswith("204") else b"why"))) as port:
        result = await probe(HTTP, ProbeTarget(("127.0.0.1", port)))
    assert result.sample is sample
    assert result.detail.startswith(f"GET /health: {status}")
    assert 0 < result.latency_ms < 2_000


async def test_a_failure_quotes_the_answer_on_one_line() -> None:
    async with serving(answering(with_body("503 No", b"database\n\x1b[31mgone " + b"x" * 999))) as port:
        result = await probe(HTTP, ProbeTarget(("127.0.0.1", port)))
    assert result.detail.startswith("GET /health: 503 No: database [31mgone xxx")
    assert len(result.detail) < 300
    assert result.detail.isprintable()


async def test_the_request_is_what_a_server_expects() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(with_body("200 OK"))

    async with serving(handle) as port:
        await probe(ProbeSpec(kind=ProbeKind.HTTP, url="/a b?q=ä&r=1#f"), ProbeTarget(("127.0.0.1", port)))
        await probe(ProbeSpec(kind=ProbeKind.HTTP, url=f"http://localhost:{port}"), ProbeTarget())
    first, second = (each.decode().split("\r\n") for each in seen)
    assert first[0] == "GET /a%20b?q=%C3%A4&r=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}" in first
    assert "Connection: close" in first
    assert second[0] == "GET / HTTP/1.1"
    assert f"Host: localhost:{port}" in second


async def test_a_redirect_is_not_followed() -> None:
    to = b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(to)) as port:
        assert (await probe(HTTP, ProbeTarget(("127.0.0.1", port)))).sample is Sample.OK


async def test_interim_answers_and_chunks_are_read_over() -> None:
    chunked = (
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    async with serving(answering(chunked)) as port:
        assert (await probe(HTTP, ProbeTarget(("127.0.0.1", port)))).sample is Sample.OK


async def test_a_body_without_end_is_cut_off() -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with serving(handle) as port:
        assert (await probe(HTTP, ProbeTarget(("127.0.0.1", port)))).sample is Sample.OK
    assert BODY_BYTES_MAX < sent < 64 * 1024**2


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200", "valid HTTP"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "no valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "no valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "no valid HTTP"),
    ],
)
async def test_what_is_no_http_answer_is_a_failure(answer: bytes, detail: str) -> None:
    async with serving(answering(answer)) as port:
        result = await probe(HTTP, ProbeTarget(("127.0.0.1", port)))
    assert result.sample is Sample.FAILED
    assert detail in result.detail


async def test_a_server_that_ignores_the_wish_to_close_is_left_after_its_answer() -> None:
    async with serving(answering(with_body("200 OK"), keeps_open=True)) as port:
        loop = asyncio.get_running_loop()
        start = loop.time()
        result = await probe(HTTP, ProbeTarget(("127.0.0.1", port)))
        assert loop.time() - start < 1
    assert result.sample is Sample.OK
    assert result.latency_ms < 50


@pytest.mark.parametrize(
    ("answer", "detail"),
    [(b"", "the server had not answered"), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "answered 200, but")],
)
async def test_a_server_that_hangs_fails_at_the_timeout(answer: bytes, detail: str) -> None:
    async with serving(answering(answer, keeps_open=True)) as port:
        spec = ProbeSpec(kind=ProbeKind.HTTP, url="/", timeout_ms=200)
        result = await probe(spec, ProbeTarget(("127.0.0.1", port)))
    assert result.sample is Sample.FAILED
    assert result.detail.startswith("not done within 200 ms")
    assert detail in result.detail
    assert 190 < result.latency_ms < 1_000


async def test_a_loop_that_stood_still_blames_nobody_else() -> None:
    async with serving(answering(b"", keeps_open=True)) as port:
        spec = ProbeSpec(kind=ProbeKind.HTTP, url="/", timeout_ms=200)
        stall = threading.Event()
        asyncio.get_running_loop().call_later(0.02, stall.wait, 0.25)
        result = await probe(spec, ProbeTarget(("127.0.0.1", port)))
    assert result.sample is Sample.UNKNOWN
    assert "the supervisor itself stood still" in result.detail


@pytest.mark.parametrize("spec", [HTTP, TCP])
async def test_a_port_nobody_listens_on_is_a_failure(spec: ProbeSpec) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = await probe(spec, ProbeTarget(closed.getsockname()))
    assert (result.sample, "Connection refused" in result.detail) == (Sample.FAILED, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_localhost_is_asked_on_both_families(host: str) -> None:
    async with serving(OK, host) as port:
        spec = ProbeSpec(kind=ProbeKind.HTTP, url=f"http://LOCALHOST:{port}/health")
        assert (await probe(spec, ProbeTarget())).sample is Sample.OK


@pytest.mark.parametrize(("listen", "given"), [("127.0.0.1", "0.0.0.0"), ("::1", "::"), ("127.0.0.1", "")])
async def test_a_listener_on_all_addresses_is_asked_on_loopback(listen: str, given: str) -> None:
    async with serving(OK, listen) as port:
        assert (await probe(HTTP, ProbeTarget((given, port)))).sample is Sample.OK
        assert (await probe(TCP, ProbeTarget((given, port)))).sample is Sample.OK


async def test_a_unix_socket_is_asked_by_its_path(directory: Path) -> None:
    path = directory / "web.sock"
    async with serving(OK, path=path):
        assert (await probe(HTTP, ProbeTarget(str(path)))).sample is Sample.OK
        assert (await probe(TCP, ProbeTarget(str(path)))).detail == f"connected to unix:{path}"
        spec = ProbeSpec(kind=ProbeKind.TCP, address=f"unix:{path}")
        assert (await probe(spec, ProbeTarget())).sample is Sample.OK
    path.unlink(missing_ok=True)
    assert (await probe(HTTP, ProbeTarget(str(path)))).sample is Sample.FAILED


async def test_a_full_queue_of_a_unix_socket_is_waited_for(directory: Path) -> None:
    path = directory / "full.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(path))
            spec = ProbeSpec(kind=ProbeKind.TCP, timeout_ms=800)
            assert (await probe(spec, ProbeTarget(str(path)))).sample is Sample.FAILED
            listener.accept()[0].close()
            assert (await probe(spec, ProbeTarget(str(path)))).sample is Sample.OK


def sources(host: str = "127.0.0.1") -> Callable[[], tuple[str, int]]:
    ports = itertools.cycle(range(FIRST_PORT, FIRST_PORT + PORTS))
    return lambda: (host, next(ports))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("keeps_open", [False, True])
async def test_two_hundred_probes_in_a_row_fit_a_block_of_thirty_two_ports(host: str, keeps_open: bool) -> None:
    seen: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[1])
        await answering(with_body("200 OK"), keeps_open=keeps_open)(reader, writer)

    count = 36 if keeps_open else 200  # those that stay open are waited for
    async with serving(handle, host) as port:
        target = ProbeTarget((host, port), source=sources(host))
        results = [await probe(HTTP, target) for _ in range(count)]
    assert {result.sample for result in results} == {Sample.OK}
    assert seen == [FIRST_PORT + i % PORTS for i in range(count)], "no port was busy at its turn"


async def test_two_hundred_connections_in_a_row_fit_a_block_of_thirty_two_ports() -> None:
    async with serving(OK) as port:
        target = ProbeTarget(("127.0.0.1", port), source=sources())
        results = [await probe(TCP, target) for _ in range(200)]
    assert {result.sample for result in results} == {Sample.OK}


async def test_probes_at_the_same_time_find_different_ports() -> None:
    async with serving(OK) as port:
        # All of them begin at the same port.
        results = await asyncio.gather(
            *(probe(HTTP, ProbeTarget(("127.0.0.1", port), source=sources())) for _ in range(16))
        )
    assert {result.sample for result in results} == {Sample.OK}


async def test_no_free_source_port_is_our_own_trouble() -> None:
    def nothing() -> tuple[str, int]:
        raise OSError(errno.EADDRINUSE, "all are in use")

    async with serving(OK) as port:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", FIRST_PORT + PORTS))
            for source in (taken.getsockname, nothing):
                result = await probe(HTTP, ProbeTarget(("127.0.0.1", port), source=source))
                assert (result.sample, "no source port is free" in result.detail) == (Sample.UNKNOWN, True)


async def test_a_source_of_the_other_family_asks_nobody() -> None:
    async with serving(OK, "::1") as port:
        result = await probe(HTTP, ProbeTarget(("::1", port), source=sources()))
    assert (result.sample, "cannot be asked from" in result.detail) == (Sample.UNKNOWN, True)


async def test_being_out_of_descriptors_is_our_own_trouble() -> None:
    async with serving(OK) as port:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            results = [await probe(spec, ProbeTarget(("127.0.0.1", port), source=sources())) for spec in (HTTP, TCP)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [result.sample for result in results] == [Sample.UNKNOWN] * 2
    assert all("Too many open files" in result.detail for result in results)


@pytest.mark.parametrize(
    "spec",
    [
        ProbeSpec(kind=ProbeKind.HTTP, url="http://no-such-host.invalid/"),
        ProbeSpec(kind=ProbeKind.HTTP, url="http://" + "x" * 64 + ".invalid/"),
        ProbeSpec(kind=ProbeKind.HTTP, url="http://localhost:99999/"),
        ProbeSpec(kind=ProbeKind.HTTP, url="https://localhost/"),
        ProbeSpec(kind=ProbeKind.HTTP, url="/health"),
        ProbeSpec(kind=ProbeKind.TCP, address="localhost"),
        ProbeSpec(kind=ProbeKind.TCP),
        EXEC,
    ],
)
async def test_a_probe_that_cannot_be_made_says_nothing_about_the_service(spec: ProbeSpec) -> None:
    result = await probe(spec, ProbeTarget())
    assert result.sample is Sample.UNKNOWN
    assert result.detail


async def test_a_cancelled_probe_leaves_nothing_open() -> None:
    async with serving(answering(b"", keeps_open=True)) as port:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await probe(HTTP, ProbeTarget(("127.0.0.1", port), source=sources()))
        connections = 3  # the server's ends
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + connections


def running(outcome: ExecResult | OSError) -> ProbeTarget:
    async def spawn(argv: tuple[str, ...], env: Mapping[str, str], timeout_ms: int) -> ExecResult:
        assert (argv, dict(env), timeout_ms) == (("check", "it"), {"A": "b"}, 1_000)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    return ProbeTarget(env={"A": "b"}, spawn=spawn)


@pytest.mark.parametrize(
    ("outcome", "sample", "detail"),
    [
        (ExecResult(0, output="ok\n"), Sample.OK, "check: exit code 0"),
        (ExecResult(1, output="queue\nstuck\n"), Sample.FAILED, "check: exit code 1: queue stuck"),
        (ExecResult(2), Sample.FAILED, "check: exit code 2"),
        (ExecResult(None, 11), Sample.FAILED, "check: ended by OS signal 11 (Segmentation fault)"),
        (ExecResult(None, 9, has_timed_out=True), Sample.FAILED, "not done within 1000 ms: running check"),
        (OSError(errno.ENOENT, "no such file"), Sample.UNKNOWN, "check cannot be started: [Errno 2] no such file"),
    ],
)
async def test_a_command_speaks_by_its_exit_code(outcome: ExecResult | OSError, sample: Sample, detail: str) -> None:
    result = await probe(EXEC, running(outcome))
    assert (result.sample, result.detail) == (sample, detail)


def test_addresses_are_written_as_they_are_read() -> None:
    for text in ("127.0.0.1:80", "[::1]:80", "unix:/run/web.sock", ":8080"):
        assert show_address(read_address(text)) == text
    for text in ("", "80", "host:", "host:0", "host:65536", "host:http"):
        with pytest.raises(ValueError, match="is no address"):
            read_address(text)


@pytest.mark.uvloop
async def test_probes_work_on_uvloop_too(directory: Path) -> None:
    async with serving(OK) as port:
        target = ProbeTarget(("127.0.0.1", port), source=sources())
        assert {(await probe(spec, target)).sample for spec in (HTTP, TCP) * 40} == {Sample.OK}
    async with serving(OK, path=directory / "web.sock"):
        assert (await probe(HTTP, ProbeTarget(str(directory / "web.sock")))).sample is Sample.OK
