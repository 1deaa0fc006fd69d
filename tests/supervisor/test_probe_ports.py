"""Source ports for probes: outside of what clients get, and free when they are handed out."""

from __future__ import annotations

import socket

import pytest

from aeterna.supervisor.host.probe_ports import (
    BLOCK_PORTS,
    DEFAULT_RANGE,
    PROBE_SOURCES,
    ProbeSources,
    local_port_range,
)

RANGES = [
    ((32768, 60999), True),
    ((1024, 65535), False),
    ((1024, 65000), True),
    ((10000, 65535), True),
    ((49152, 65535), True),
    ((1100, 65400), True),
    ((1025, 65534), False),
]


@pytest.mark.parametrize(("local_range", "is_exclusive"), RANGES)
def test_the_block_lies_outside_the_clients_range_where_there_is_room(local_range, is_exclusive):
    sources = ProbeSources(local_range)
    first, last = local_range
    assert sources.is_exclusive is is_exclusive
    assert 1024 <= sources.ports.start < sources.ports.stop <= 65536
    assert is_exclusive == (sources.ports.start > last or sources.ports.stop <= first)


def test_without_room_ipv4_probes_have_addresses_of_their_own():
    sources = ProbeSources((1024, 65535))
    host, port = sources.source(socket.AF_INET)
    assert host == "127.174.126.1"
    assert sources.owns((host, port))
    assert not sources.owns(("127.0.0.1", port))
    assert sources.owns(("::1", port))


def test_each_source_is_another_port_of_the_block_and_bindable():
    sources = ProbeSources(DEFAULT_RANGE)
    seen = [sources.source(socket.AF_INET) for _ in range(20)]
    assert len(set(seen)) == 20
    assert all(port in sources.ports and host == "127.0.0.1" for host, port in seen)


def test_this_machines_range_is_avoided():
    first, last = local_port_range()
    clashes = [port for port in PROBE_SOURCES.ports if first <= port <= last]
    assert (clashes == []) is PROBE_SOURCES.is_exclusive


def test_used_ports_are_skipped_until_none_is_left():
    sources = ProbeSources((1024, 65535))  # the small block, in a network nobody else here uses
    held = []
    try:
        for _ in sources.ports:
            sock = socket.socket()
            held.append(sock)
            sock.bind(sources.source(socket.AF_INET))
        with pytest.raises(OSError, match="all probe ports"):
            sources.source(socket.AF_INET)
        held.pop().close()
        sources.source(socket.AF_INET)
    finally:
        for sock in held:
            sock.close()


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")),
        *((host, False) for host in ("10.0.0.1", "::2", "fe80::1", "::ffff:10.0.0.1")),
    ],
)
def test_a_peer_is_recognised_by_the_rule_the_kernel_uses(host, is_own):
    sources = ProbeSources(DEFAULT_RANGE)
    assert sources.owns((host, sources.ports.start)) is is_own
    assert not sources.owns((host, sources.ports.start - 1))


def test_the_usual_range_leaves_a_block_large_enough_to_rest_its_ports():
    assert len(ProbeSources(DEFAULT_RANGE).ports) == BLOCK_PORTS
