"""Connections on a colour nobody accepts on are carried to the serving one, and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource
import socket

import pytest

from aeterna.supervisor.host.listeners import Colour
from aeterna.supervisor.host.steering import Steering
from aeterna.supervisor.host.stragglers import StragglerWatch
from tests.supervisor.sockets import IS_CHAOS, connect, one_pass, open_descriptors, opened, tcp_spec, until

MANY = 2_000 if IS_CHAOS else 500


class Service:
    """An application on blue, and a watch on green; `straggle` connects to green, as if its SYN had been early."""

    def __init__(self, listener, behaviour) -> None:
        self.listener = listener
        self.steering = Steering(listener)
        self.watch = StragglerWatch(listener, Colour.GREEN)
        self._behaviour = behaviour
        self._server = None
        self.handlers = set()

    async def __aenter__(self):
        if self._behaviour is not None:
            self._server = await asyncio.start_server(self._handle, sock=self.listener.colours[0].dup())
        return self

    async def _handle(self, reader, writer) -> None:
        with contextlib.suppress(ConnectionError):
            await self._behaviour(reader, writer)
            await writer.drain()
        writer.close()

    async def straggle(self):
        """Streams of a connection that waits in green's queue while the weights say blue."""
        return await asyncio.open_connection(sock=self.connect_to_green(self.listener.tcp_address))

    def connect_to_green(self, address):
        """Without letting the loop run, so that nobody accepts before the weights are back."""
        self.steering.set(100, Colour.BLUE)
        client = connect(address)
        self.steering.set(0, Colour.BLUE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
        client.setblocking(False)
        return client

    async def __aexit__(self, *_) -> None:
        await self.watch.stop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


async def echo(reader, writer) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def answer_at_eof(reader, writer) -> None:
    """Speaks only when the client has closed its half."""
    data = await reader.read()
    writer.write(hashlib.sha256(data).digest())


async def hang(reader, writer) -> None:
    await reader.read()


async def close(writer) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture
def listener():
    with opened() as one:
        yield one


@pytest.mark.uvloop
async def test_it_carries_on_the_other_event_loop_too(listener):
    async with Service(listener, answer_at_eof) as service:
        await service.watch.start()
        reader, writer = await service.straggle()
        writer.write(b"question")
        writer.write_eof()
        assert await reader.read() == hashlib.sha256(b"question").digest()
        await close(writer)


async def test_a_straggler_is_served_and_counted(listener):
    async with Service(listener, echo) as service:
        await service.watch.start()
        reader, writer = await service.straggle()
        for text in (b"one", b"two"):
            writer.write(text)
            assert await reader.readexactly(3) == text
        assert (service.watch.count, service.watch.open_count, service.watch.failed_count) == (1, 1, 0)
        await close(writer)
        await asyncio.wait_for(service.watch.wait_until_idle(), 5)
        assert service.watch.open_count == 0


async def test_one_that_waited_before_the_watch_began_is_served_too(listener):
    async with Service(listener, echo) as service:
        reader, writer = await service.straggle()
        writer.write(b"early")
        await service.watch.start()
        assert await reader.readexactly(5) == b"early"
        await close(writer)


async def test_half_closes_pass_in_both_directions(listener):
    async def talk_then_listen(reader, writer) -> None:
        writer.write(b"banner")
        writer.write_eof()
        assert await reader.read() == b"late words"

    for behaviour, speak_first in ((answer_at_eof, True), (talk_then_listen, False)):
        async with Service(listener, behaviour) as service:
            await service.watch.start()
            reader, writer = await service.straggle()
            if speak_first:
                writer.write(b"question")
                writer.write_eof()
                assert await reader.read() == hashlib.sha256(b"question").digest()
            else:
                assert await reader.read() == b"banner"
                writer.write(b"late words")
                writer.write_eof()
            await asyncio.wait_for(service.watch.wait_until_idle(), 5)
            await close(writer)


async def test_megabytes_arrive_unharmed_past_a_slow_reader(listener):
    payload = bytes(range(256)) * 16_384 * 2

    async def send(reader, writer) -> None:
        writer.write(payload)

    async with Service(listener, send) as service:
        await service.watch.start()
        reader, writer = await service.straggle()
        digest = hashlib.sha256()
        size = 0
        while data := await reader.read(4096):
            digest.update(data)
            size += len(data)
        assert size == len(payload)
        assert digest.digest() == hashlib.sha256(payload).digest()
        await close(writer)


async def test_many_at_once_are_all_served(listener):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    before = open_descriptors()
    async with Service(listener, echo) as service:
        await service.watch.start()
        streams = [await service.straggle() for _ in range(MANY)]

        async def ask(number, reader, writer) -> None:
            text = str(number).encode()
            writer.write(text)
            assert await reader.readexactly(len(text)) == text
            await close(writer)

        await asyncio.gather(*(ask(n, *stream) for n, stream in enumerate(streams)))
        await asyncio.wait_for(service.watch.wait_until_idle(), 10)
        assert service.watch.count == MANY
    await until(lambda: open_descriptors() <= before)


async def test_with_nobody_to_serve_the_client_is_reset_at_once(listener):
    before = open_descriptors()
    async with Service(listener, None) as service:
        reader, writer = await service.straggle()
        listener.colours[0].shutdown(socket.SHUT_RDWR)  # now the address leads back to green
        await service.watch.start()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
        await close(writer)
        await asyncio.wait_for(service.watch.wait_until_idle(), 5)
    await until(lambda: open_descriptors() <= before)


async def test_a_refused_connection_resets_the_client(listener):
    async with Service(listener, None) as service:
        await service.watch.start()
        reader, writer = await service.straggle()
        for sock in listener.colours:
            sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
        await close(writer)


async def test_a_watch_whose_socket_was_shut_down_rests(listener):
    async with Service(listener, echo) as service:
        await service.watch.start()
        listener.colours[1].shutdown(socket.SHUT_RDWR)
        await until(lambda: not service.watch._is_watching)
        assert (await service.steering.restore()).is_trustworthy
        await service.watch.start()
        reader, writer = await service.straggle()
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"
        await close(writer)


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_on_one_side_resets_the_other(listener, who):
    aborted = asyncio.Event()
    ended = asyncio.get_running_loop().create_future()

    async def behaviour(reader, writer) -> None:
        if who == "server":
            await reader.readexactly(1)
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            writer.transport.abort()
            return
        try:
            await reader.readexactly(2)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            ended.set_result(error)
        aborted.set()

    async with Service(listener, behaviour) as service:
        await service.watch.start()
        reader, writer = await service.straggle()
        writer.write(b"x")
        if who == "client":
            await until(lambda: service.watch.count == 1)
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            writer.transport.abort()
            assert isinstance(await asyncio.wait_for(ended, 5), (ConnectionResetError, asyncio.IncompleteReadError))
        else:
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.readexactly(1), 5)
        await asyncio.wait_for(service.watch.wait_until_idle(), 5)
        await close(writer)


async def test_a_probe_is_never_carried_to_another_generation(listener):
    async with Service(listener, echo) as service:
        await service.watch.start()
        service.steering.set(0, Colour.GREEN)
        with connect(listener.tcp_address, service.steering.probe_source(socket.AF_INET)) as probe:
            probe.setblocking(False)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(probe, 1), 5)
        assert service.watch.count == 0


async def test_steering_can_be_verified_at_a_colour_that_is_watched(listener):
    async with Service(listener, echo) as service:
        await service.watch.start()
        for _ in range(20):
            service.steering.set(0, Colour.GREEN)
            verdict = await service.steering.verify()
            assert verdict.is_trustworthy, verdict
        assert (service.watch.count, service.watch.failed_count) == (0, 0)


async def test_pausing_leaves_the_next_ones_to_the_next_server_and_goes_on_with_the_others(listener):
    async with Service(listener, echo) as service:
        await service.watch.start()
        reader, writer = await service.straggle()
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        service.watch.pause()
        second_reader, second_writer = await service.straggle()
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener.colours[1])
        accepted.sendall(b"mine")
        assert await second_reader.readexactly(4) == b"mine"
        accepted.close()
        writer.write(b"b")
        assert await reader.readexactly(1) == b"b"
        await close(writer)
        await close(second_writer)
        assert service.watch.count == 1


async def test_stopping_cuts_everything_and_closes_every_descriptor(listener):
    before = open_descriptors()
    async with Service(listener, hang) as service:
        await service.watch.start()
        streams = [await service.straggle() for _ in range(50)]
        for _, writer in streams:
            writer.write(b"x")
        await until(lambda: service.watch.count > 20)  # the others are on their way
        await service.watch.stop()
        await service.watch.stop()
        assert service.watch.open_count == 0
        assert service.watch._outgoing == set()
        for _, writer in streams:
            await close(writer)
    await until(lambda: open_descriptors() <= before)


async def test_stopping_at_any_moment_leaves_nothing_behind(listener):
    """Stopped after 0, 1, 2 … passes of the loop, so that each step of a carriage is cut once."""
    before = open_descriptors()
    for passes in range(25):
        async with Service(listener, hang) as service:
            streams = [await service.straggle() for _ in range(3)]
            await service.watch.start()
            for _ in range(passes):
                await one_pass()
            await service.watch.stop()
            assert service.watch.open_count == 0
            for _, writer in streams:
                await close(writer)
        await until(lambda: open_descriptors() <= before)


async def test_running_out_of_descriptors_only_delays(listener):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with Service(listener, echo) as service:
        reader, writer = await service.straggle()
        writer.write(b"later")
        highest = max(int(fd) for fd in open_descriptors())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        hoard = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    hoard.append(socket.socket())
            await service.watch.start()
            await until_retrying(service.watch)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for sock in hoard:
                sock.close()
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"later"
        await close(writer)


async def until_retrying(watch: StragglerWatch) -> None:
    async with asyncio.timeout(5):
        while watch._retry is None:
            await one_pass()


async def test_both_families_of_a_dual_stack_listener_are_carried():
    with opened(tcp_spec("tcp6", "::")) as listener:
        async with Service(listener, echo) as service:
            await service.watch.start()
            for _, address in listener.reach():
                client = service.connect_to_green(address)
                client.sendall(b"v")
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 5) == b"v"
                client.close()
