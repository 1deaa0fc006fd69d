"""Listening sockets: bound once, in pairs, with an error that says who is in the way."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys

import pytest

from aeterna.kernel.clock import SystemClock
from aeterna.supervisor.host.listeners import (
    BindError,
    Colour,
    accept_queue_length,
    adopt_listener,
    open_listener,
    open_listener_patiently,
)
from tests.supervisor.live.backend import free_port
from tests.supervisor.sockets import connect, landings, open_descriptors, opened, tcp_spec, until_blocking

ADDRESSES = [
    ("tcp4", "0.0.0.0"),
    ("tcp4", "127.0.0.1"),
    ("tcp4", ""),
    ("tcp4", "localhost"),
    ("tcp6", "::"),
    ("tcp6", "::1"),
    ("tcp6", "[::1]"),
]

HOLDER = """
import socket, sys
sock = socket.socket()
if "shared" in sys.argv:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sock.bind(("127.0.0.1", 0))
sock.listen()
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("family", "host"), ADDRESSES)
def test_an_address_gets_two_listening_sockets_on_one_port(family, host):
    with opened(tcp_spec(family, host)) as listener:
        assert listener.is_steerable
        assert listener.port == listener.colours[0].getsockname()[1] == listener.colours[1].getsockname()[1] > 0
        for sock in listener.colours:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()
            assert not os.get_inheritable(sock.fileno())
        for _, address in listener.reach():
            connect(address).close()


def test_both_families_reach_a_socket_for_everything():
    with opened(tcp_spec("tcp6", "::")) as listener:
        assert listener.is_dual_stack
        assert [address[0] for _, address in listener.reach()] == ["127.0.0.1", "::1"]


def test_nodelay_is_left_alone_if_it_is_not_wanted():
    with opened(tcp_spec(nodelay=False)) as listener:
        assert not listener.colours[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_one_shared_socket_is_had_where_there_is_no_steering():
    with opened(tcp_spec(), colour_count=1) as listener:
        assert not listener.is_steerable
        assert set(listener.fds()) == {"listener:http:blue"}
        assert listener.colours[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert landings(listener, 20, listener.tcp_address)[Colour.BLUE] == 20
        with pytest.raises(BindError, match="in use by pid"):
            open_listener(tcp_spec(port=listener.port), colour_count=1)


def test_before_weights_are_set_everything_goes_to_blue():
    with opened() as listener:
        assert landings(listener, 100, listener.tcp_address) == {Colour.BLUE: 100, Colour.GREEN: 0}


@pytest.mark.parametrize("how", ["alone", "shared"])
def test_the_error_names_the_process_that_listens_there(how):
    """Also one that would let us join its group: joining would take its connections, or it ours."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        port = int(holder.stdout.readline())
        for host in ("127.0.0.1", "0.0.0.0"):
            with pytest.raises(BindError) as caught:
                open_listener(tcp_spec(host=host, port=port))
            text = str(caught.value)
            assert f"{host}:{port}" in text
            assert "'http'" in text
            assert f"pid {holder.pid} (" in text
            assert "import socket, sys" in text
            assert not caught.value.is_transient
            assert caught.value.errno == errno.EADDRINUSE
        holder.stdin.close()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (tcp_spec(host="192.0.2.1"), ["192.0.2.1", "ip addr"]),
        (tcp_spec(host="no.such.host.invalid"), ["no.such.host.invalid", "correct the host"]),
        (tcp_spec("tcp4", "::1"), ["no IPv4 address"]),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_what_to_do(spec, words):
    before = open_descriptors()
    with pytest.raises(BindError) as caught:
        open_listener(spec)
    assert all(word in str(caught.value) for word in words)
    assert open_descriptors() == before


async def test_waiting_helps_where_only_a_connection_uses_the_port():
    with opened() as target, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        # One that no other connection of this machine is given when it is free again.
        port = free_port()
        client.bind(("127.0.0.1", port))
        client.connect(target.tcp_address)
        with pytest.raises(BindError) as caught:
            await open_listener_patiently(tcp_spec(port=port), SystemClock(), patience_ms=150)
        assert caught.value.is_transient
        assert "nobody is seen to listen" in str(caught.value)
        client.close()
        (await open_listener_patiently(tcp_spec(port=port), SystemClock())).close(unlink=True)


async def test_waiting_is_not_tried_where_somebody_listens():
    with opened() as taken:
        clock = SystemClock()
        began_us = clock.monotonic_us()
        with pytest.raises(BindError, match="in use by pid"):
            await open_listener_patiently(tcp_spec(port=taken.port), clock, patience_ms=60_000)
        assert clock.monotonic_us() - began_us < 5_000_000


def test_a_listener_that_was_just_closed_can_be_opened_again():
    with opened() as first:
        port = first.port
        client = connect(first.tcp_address)
        until_blocking(lambda: accept_queue_length(first.colours[0]) == 1)
        served, _ = first.colours[0].accept()
        served.close()  # this side closes first and keeps TIME_WAIT
        client.recv(1)
        client.close()
    with opened(tcp_spec(port=port)) as second:
        assert second.port == port


def test_the_accept_queue_tells_its_length():
    with opened() as listener:
        assert accept_queue_length(listener.colours[0]) == 0
        clients = [connect(listener.tcp_address) for _ in range(7)]
        until_blocking(lambda: accept_queue_length(listener.colours[0]) == 7)
        assert accept_queue_length(listener.colours[1]) == 0
        for client in clients:
            client.close()


def test_another_daemon_adopts_the_sockets_with_what_waits_in_them():
    with opened() as first, connect(first.tcp_address) as client:
        client.sendall(b"hello")
        fds = {key: os.dup(fd) for key, fd in first.fds().items()}
        assert set(fds) == {"listener:http:blue", "listener:http:green"}
        for fd in fds.values():
            os.set_inheritable(fd, True)  # as the keeper's messages may leave it
        second = adopt_listener(first.spec, fds)
        assert second.address == first.address
        assert second.is_steerable
        assert not any(os.get_inheritable(sock.fileno()) for sock in second.colours)
        first.close(unlink=False)
        until_blocking(lambda: accept_queue_length(second.colours[0]) == 1)
        served, _ = second.colours[0].accept()
        served.settimeout(5)
        assert served.recv(5) == b"hello"
        served.close()
        second.close(unlink=False)


def test_adopting_nothing_is_refused():
    with pytest.raises(Exception, match=r"holds no socket for 127\.0\.0\.1:0"):
        adopt_listener(tcp_spec(), {})
