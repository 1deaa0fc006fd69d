"""The steering program against an oracle: run on made-up packets by an interpreter that follows the kernel's rules."""

from __future__ import annotations

import ipaddress
import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aeterna.supervisor.host.bpf import NET_OFFSET, RANDOM, ProbeMatch, Split, steering_program

MATCH = ProbeMatch(65024, 512)
addresses4 = st.ip_addresses(v=4) | st.ip_addresses(v=4, network="127.0.0.0/8")
addresses6 = st.ip_addresses(v=6) | st.just(ipaddress.IPv6Address("::1"))
ports = st.integers(1, 65535) | st.integers(65000, 65535)
splits = st.builds(Split, st.integers(0, 3), st.integers(0, 3), st.integers(0, 100), st.integers(0, 3))


def packet(source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, options: int = 0) -> bytes:
    """The network and TCP headers of a SYN."""
    tcp = struct.pack("!HH", port, 80) + bytes(16)
    if source.version == 6:
        return struct.pack("!IHBB", 0x60000000, len(tcp), 6, 64) + source.packed + bytes(16) + tcp
    head = struct.pack("!BBHHHBBH", 0x45 + options, 0, 40, 0, 0, 64, 6, 0)
    return head + source.packed + bytes(4) + bytes(4 * options) + tcp


def run(program: bytes, data: bytes, random: int) -> int:
    """What the kernel does with it. A load outside of the packet returns 0."""
    lines = list(struct.iter_unpack("=HBBi", program))
    a = x = at = 0
    while True:
        code, if_true, if_false, k = lines[at]
        at += 1
        match code:
            case 0x20 if k == RANDOM:
                a = random
            case 0x20 | 0x28 | 0x30 | 0x48:
                size = {0x20: 4, 0x28: 2, 0x30: 1, 0x48: 2}[code]
                begin = k - NET_OFFSET + (x if code == 0x48 else 0)
                if not 0 <= begin <= len(data) - size:
                    return 0
                a = int.from_bytes(data[begin : begin + size], "big")
            case 0xB1:
                x = 4 * (data[k - NET_OFFSET] & 0xF)
            case 0x54:
                a &= k & 0xFFFFFFFF
            case 0x74:
                a >>= k
            case 0x94:
                a %= k
            case 0x05:
                at += k
            case 0x15:
                at += if_true if a == k & 0xFFFFFFFF else if_false
            case 0x35:
                at += if_true if a >= k else if_false
            case 0x06:
                return k
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@given(addresses4 | addresses6, ports, st.integers(0, 10), splits, st.integers(0, 2**32 - 1))
def test_own_connections_go_to_the_probe_colour_and_others_by_weight(source, port, options, split, random):
    is_own = source.is_loopback and 65024 <= port < 65024 + 512
    by_weight = split.second if random % 100 < split.second_percent else split.first
    found = run(steering_program(MATCH, split), packet(source, port, options), random)
    assert found == (split.probe if is_own else by_weight)


@given(st.binary(min_size=1, max_size=80), splits)
def test_rubbish_never_leaves_the_program_without_an_answer(data, split):
    found = run(steering_program(MATCH, split), data, 0)
    assert found in {0, split.first, split.second, split.probe}


@given(st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_a_narrower_network_is_respected(source):
    program = steering_program(ProbeMatch(65024, 512, 0x7FAE7E00, 0xFFFFFF00), Split(0, 1, 0, 1))
    assert run(program, packet(source, 65024), 0) == (source in ipaddress.ip_network("127.174.126.0/24"))


def test_more_weight_never_takes_connections_away():
    shares = [
        sum(run(steering_program(MATCH, Split(0, 1, percent, 0)), packet(SOMEBODY, 5), r) for r in range(100))
        for percent in range(101)
    ]
    assert shares == list(range(101))
    assert all(a < b for a, b in pairwise(shares))


SOMEBODY = ipaddress.IPv4Address("192.0.2.7")
