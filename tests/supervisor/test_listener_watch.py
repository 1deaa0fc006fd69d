"""What others can do to a shared listener: it is found, at once or when asked, and put right where that is possible."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import subprocess
import sys
from functools import partial

import pytest

from aeterna.supervisor.host.listener_watch import ShutdownWatch, inspect, reassert_backlog, revive
from aeterna.supervisor.host.listeners import Colour, adopt_listener, listens
from aeterna.supervisor.host.steering import Steering, SteeringOutcome
from tests.supervisor.sockets import connect, landings, opened, take_all, tcp_spec, until, until_blocking

STRANGER = """
import socket, sys
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sock.bind((sys.argv[1], int(sys.argv[2])))
sock.listen()
print("listening", flush=True)
sys.stdin.read()
"""

SHUT_DOWN = """
import contextlib, socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
"""


@contextlib.contextmanager
def stranger(host: str, port: int | None):
    with subprocess.Popen(
        [sys.executable, "-c", STRANGER, host, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "listening\n"
        yield process
        process.stdin.close()


def shut_down_in_a_child(sock: socket.socket, times: int = 1) -> None:
    arguments = [sys.executable, "-c", SHUT_DOWN, str(sock.fileno()), str(times)]
    subprocess.run(arguments, check=True, pass_fds=[sock.fileno()])


def exchange(listener, address) -> None:
    """A connection works in both directions, whichever colour it lands on."""
    with connect(address) as client:
        client.sendall(b"ping")
        until_blocking(lambda: any(has_one(sock) for sock in listener.colours))
        for sock in listener.colours:
            with contextlib.suppress(BlockingIOError):
                served, _ = sock.accept()
                with served:
                    served.settimeout(5)
                    assert served.recv(4) == b"ping"
                    served.sendall(b"pong")
                    assert client.recv(4) == b"pong"


def has_one(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def test_an_untouched_listener_is_sound():
    for spec in (tcp_spec(), tcp_spec("tcp4", "0.0.0.0"), tcp_spec("tcp6", "::")):
        with opened(spec) as listener:
            assert inspect(listener).is_sound


@pytest.mark.parametrize("colour", list(Colour))
async def test_a_shutdown_by_a_child_is_told_at_once_and_repaired(colour):
    with opened() as listener:
        steering = Steering(listener)
        told = []
        watch = ShutdownWatch(listener, told.append)
        watch.start()
        for _ in range(2):  # a second time, after being repaired once
            shut_down_in_a_child(listener.socket_of(colour))
            await until(lambda: told == [colour])
            assert inspect(listener).closed == (colour,)
            assert (await steering.restore()).is_trustworthy
            assert inspect(listener).is_sound
            assert listener.order == (colour.other, colour)
            watch.rearm(colour)
            told.clear()
        watch.stop()
        watch.stop()


async def test_connections_do_not_wake_the_shutdown_watch():
    with opened() as listener:
        told = []
        watch = ShutdownWatch(listener, told.append)
        watch.start()
        with connect(listener.tcp_address) as client:
            await until(lambda: has_one(listener.colours[0]))
            assert watch._epoll.poll(0) == []
            client.sendall(b"x")
        watch.stop()
        assert told == []


ALL_SHUTDOWNS = [order for count in (1, 2, 3) for order in itertools.product(Colour, repeat=count)]


@pytest.mark.parametrize("order", ALL_SHUTDOWNS, ids=lambda order: "-".join(c.name.lower() for c in order))
async def test_weights_hold_after_shutdowns_and_repairs_in_any_order(order):
    with opened() as listener:
        steering = Steering(listener)
        for colour in order:
            listener.socket_of(colour).shutdown(socket.SHUT_RDWR)
            assert (await steering.restore()).is_trustworthy
        await assert_steered(listener, steering)


async def test_weights_hold_after_both_colours_were_shut_down():
    with opened() as listener:
        steering = Steering(listener)
        steering.set(30, Colour.GREEN)
        for sock in listener.colours:
            sock.shutdown(socket.SHUT_RDWR)
        assert inspect(listener).closed == (Colour.BLUE, Colour.GREEN)
        assert (await steering.restore()).is_trustworthy
        await assert_steered(listener, steering)


async def assert_steered(listener, steering) -> None:
    for colour in Colour:
        take_all(listener.socket_of(colour))
    for percent, ordinary, probe in ((0, Colour.BLUE, Colour.GREEN), (100, Colour.GREEN, Colour.BLUE)):
        steering.set(percent, probe)
        assert landings(listener, 50, listener.tcp_address)[ordinary] == 50
        source = partial(steering.probe_source, listener.family)
        assert landings(listener, 20, listener.tcp_address, source)[probe] == 20


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_connections_work_after_a_repair_however_often_it_was_shut_down(times):
    """A second shutdown leaves a mark on the socket that every later connection would inherit."""
    with opened() as listener:
        shut_down_in_a_child(listener.colours[0], times)
        revive(listener, Colour.BLUE)
        steering = Steering(listener)
        for percent in (0, 100):
            steering.set(percent, Colour.BLUE)
            exchange(listener, listener.tcp_address)


async def test_while_one_colour_is_closed_the_other_gets_everything():
    with opened() as listener:
        steering = Steering(listener)
        listener.colours[0].shutdown(socket.SHUT_RDWR)
        steering.set(50, Colour.BLUE)
        with connect(listener.tcp_address), connect(listener.tcp_address):
            until_blocking(lambda: has_one(listener.colours[1]))
        assert take_all(listener.colours[1]) == 2


async def test_a_stranger_in_the_group_is_found_and_gets_nothing():
    with opened() as listener:
        steering = Steering(listener)
        with stranger("127.0.0.1", listener.port) as process:
            (found,) = inspect(listener).strangers
            assert found.in_group
            assert found.holders[0].pid == process.pid
            assert f"pid {process.pid} (" in str(found)
            await assert_steered(listener, steering)
        assert inspect(listener).is_sound


async def test_a_stranger_with_a_more_specific_address_is_found():
    with opened(tcp_spec("tcp4", "0.0.0.0")) as listener, stranger("127.0.0.1", listener.port) as process:
        (found,) = inspect(listener).strangers
        assert not found.in_group
        assert found.where == f"127.0.0.1:{listener.port}"
        assert found.holders[0].pid == process.pid
        verdict = await Steering(listener).verify()
        assert verdict.outcome is SteeringOutcome.MISDIRECTED
        assert verdict.landed == (None,) * 4


async def test_a_stranger_that_moved_up_in_the_group_is_put_out_of_the_way():
    """When blue stops listening the stranger takes its place in the group; afterwards the order is a new one."""
    with opened() as listener, stranger("127.0.0.1", listener.port):
        steering = Steering(listener)
        listener.colours[0].shutdown(socket.SHUT_RDWR)
        assert (await steering.restore()).is_trustworthy
        assert listener.order == (None, Colour.GREEN, Colour.BLUE)
        await assert_steered(listener, steering)


def test_other_listeners_of_the_supervisor_are_no_strangers():
    with opened(tcp_spec("tcp4", "0.0.0.0")) as listener:
        sibling = socket.socket()
        with sibling:
            sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sibling.bind(("127.0.0.1", listener.port))
            sibling.listen()
            other = adopt_listener(tcp_spec(), {"listener:http:blue": os.dup(sibling.fileno())})
            assert inspect(listener).strangers
            assert inspect(listener, [other]).is_sound
            other.close(unlink=False)


@pytest.mark.parametrize("is_order_kept", [True, False])
async def test_an_adopted_listener_whose_order_had_changed_is_put_right(is_order_kept):
    with opened() as first:
        first.colours[0].shutdown(socket.SHUT_RDWR)
        revive(first, Colour.BLUE)
        kept = json.loads(json.dumps(first.order)) if is_order_kept else ()
        second = adopt_listener(first.spec, {key: os.dup(fd) for key, fd in first.fds().items()}, kept)
        steering = Steering(second)
        assert (await steering.restore()).is_trustworthy
        assert second.order == (Colour.GREEN, Colour.BLUE)
        await assert_steered(second, steering)
        second.close(unlink=False)


def test_a_backlog_that_a_child_made_smaller_is_set_again():
    with opened(tcp_spec(backlog=64)) as listener:
        listener.colours[0].listen(1)
        reassert_backlog(listener)
        clients = [connect(listener.tcp_address) for _ in range(20)]
        until_blocking(lambda: has_one(listener.colours[0]))
        assert take_all(listener.colours[0]) == 20
        assert listens(listener.colours[0])
        for client in clients:
            client.close()
