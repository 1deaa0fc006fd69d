"""Steering: connections go where the weights say, the supervisor's own ones to the probe colour, and that is checked.

Three thousand connections at each weight, within a bound that chance breaks once in a hundred thousand runs; with
``AETERNA_CHAOS=1`` ten thousand, within the two points that are promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from functools import partial

import pytest

from aeterna.supervisor.host.bpf import ProbeMatch, Split, steering_program
from aeterna.supervisor.host.listeners import Colour, accept_queue_length
from aeterna.supervisor.host.probe_ports import PROBE_SOURCES
from aeterna.supervisor.host.sock_diag import count_connections
from aeterna.supervisor.host.steering import Steering, SteeringOutcome
from aeterna.supervisor.host.steering_trial import attach, steering_works
from tests.supervisor.sockets import IS_CHAOS, connect, landings, opened, take_all, tcp_spec, until

CONNECTIONS = 10_000 if IS_CHAOS else 3_000
WAYS = [
    ("tcp4", "127.0.0.1", "127.0.0.1"),
    ("tcp4", "0.0.0.0", "127.0.0.1"),
    ("tcp6", "::1", "::1"),
    ("tcp6", "::", "::1"),
    ("tcp6", "::", "127.0.0.1"),
]


def points_allowed(percent: int) -> float:
    """What chance may do to a share, in points."""
    if percent in {0, 100}:
        return 0.0
    return 2.0 if IS_CHAOS else 450 * math.sqrt(percent * (100 - percent) / 10_000 / CONNECTIONS)


@pytest.mark.parametrize("percent", [0, 10, 50, 100])
def test_the_weight_is_the_share_of_new_connections(percent):
    with opened() as listener:
        Steering(listener).set(percent, Colour.BLUE)
        found = landings(listener, CONNECTIONS, listener.tcp_address)
        assert sum(found.values()) == CONNECTIONS
        share = 100 * found[Colour.GREEN] / CONNECTIONS
        print(f"{percent} % asked, {share:.2f} % found")
        assert abs(share - percent) <= points_allowed(percent)


@pytest.mark.parametrize(("family", "host", "target"), WAYS)
def test_every_way_to_reach_a_listener_is_steered(family, host, target):
    with opened(tcp_spec(family, host)) as listener:
        steering = Steering(listener)
        address = (target, listener.port)
        kind = socket.AF_INET6 if ":" in target else socket.AF_INET
        for percent, ordinary, probe in ((0, Colour.BLUE, Colour.GREEN), (100, Colour.GREEN, Colour.BLUE)):
            steering.set(percent, probe)
            assert landings(listener, 100, address)[ordinary] == 100
            assert landings(listener, 100, address, lambda: steering.probe_source(kind))[probe] == 100


def test_a_weight_between_leaves_probes_alone():
    with opened() as listener:
        steering = Steering(listener)
        steering.set(50, Colour.GREEN)
        source = partial(steering.probe_source, socket.AF_INET)
        assert landings(listener, 300, listener.tcp_address, source) == {Colour.BLUE: 0, Colour.GREEN: 300}


def test_an_impossible_weight_is_refused():
    with opened() as listener, pytest.raises(ValueError, match="from 0 to 100"):
        Steering(listener).set(101, Colour.BLUE)


def test_a_family_that_does_not_exist_is_not_steerable():
    assert not steering_works(socket.AF_UNIX)


@pytest.mark.parametrize(("family", "host"), [("tcp4", "0.0.0.0"), ("tcp6", "::1"), ("tcp6", "::")])
async def test_verification_sees_where_own_connections_arrive_without_accepting_them(family, host):
    with opened(tcp_spec(family, host)) as listener:
        steering = Steering(listener)
        for percent in (0, 37, 100):
            for colour in Colour:
                steering.set(percent, colour)
                verdict = await steering.verify()
                assert verdict.is_trustworthy, verdict
                assert set(verdict.landed) == {colour}
                assert len(verdict.landed) == 4 * len(listener.reach())
                take_all(listener.socket_of(colour))


async def test_verification_works_while_applications_serve_and_takes_nothing_from_them():
    with opened() as listener:
        steering = Steering(listener)
        served = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal served
            if await reader.read(4) == b"ping":
                served += 1
                writer.write(b"pong")
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

        servers = [await asyncio.start_server(answer, sock=sock.dup()) for sock in listener.colours]

        async def ask() -> None:
            reader, writer = await asyncio.open_connection(*listener.tcp_address)
            writer.write(b"ping")
            assert await reader.read() == b"pong"
            writer.close()
            await writer.wait_closed()

        async def keep_asking() -> None:
            for _ in range(300):
                await ask()

        async def keep_verifying() -> None:
            for at in range(20):
                steering.set(50, at % 2)
                verdict = await steering.verify()
                assert verdict.is_trustworthy, verdict

        async with asyncio.TaskGroup() as group:
            group.create_task(keep_asking())
            group.create_task(keep_verifying())
        assert served == 300
        for server in servers:
            server.close()
            await server.wait_closed()
        await until(lambda: count_connections(socket.AF_INET, listener.port) == {})


async def test_verification_notices_a_program_that_somebody_else_attached():
    with opened() as listener:
        steering = Steering(listener)
        steering.set(0, Colour.GREEN)
        attach(listener.colours[0], steering_program(ProbeMatch(1024, 64), Split(0, 1, 0, 0)))
        verdict = await steering.verify()
        assert verdict.outcome is SteeringOutcome.MISDIRECTED
        assert "0 of 4" in verdict.detail
        assert (await steering.restore()).is_trustworthy


async def test_a_full_accept_queue_is_told_and_is_no_verdict():
    with opened(tcp_spec(backlog=1)) as listener:
        steering = Steering(listener)
        steering.set(0, Colour.GREEN)
        clients = []
        while (accept_queue_length(listener.colours[1]) or 0) < 2:
            clients.append(connect(listener.tcp_address, steering.probe_source(socket.AF_INET)))
        verdict = await steering.verify()
        assert verdict.outcome is SteeringOutcome.UNKNOWN
        assert "queue is full" in verdict.detail or "cannot connect" in verdict.detail
        for client in clients:
            client.close()


def test_open_connections_can_be_counted_by_colour():
    with opened() as listener:
        steering = Steering(listener)
        clients = []
        for percent, count in ((0, 3), (100, 5)):
            steering.set(percent, Colour.BLUE)
            clients += [connect(listener.tcp_address) for _ in range(count)]
        assert count_connections(socket.AF_INET, listener.port) == {0: 3, 1: 5}
        for client in clients:
            client.close()


def test_the_sources_are_those_the_program_matches():
    assert PROBE_SOURCES.match.port_first == PROBE_SOURCES.ports.start
