"""The kernel program that spreads new connections over two listening sockets, written in classic BPF.

Pure: numbers in, bytes out. It does not know sockets, colours or services; it is handed group indices. The program
returns the index of a socket in its ``SO_REUSEPORT`` group. Invariant: whatever packet comes, the answer is one of the
two indices that were handed in; a load that fails makes the kernel return 0, so nothing is loaded that may be absent.

The kernel runs the program on the SYN with the data pointer behind the TCP header; ``SKF_NET_OFF`` reaches back to the
IP header, so IPv4 and IPv6 (and IPv4 packets that arrive at an IPv6 socket) are told apart by the version nibble.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

NET_OFFSET = -0x100000
"""``SKF_NET_OFF``: loads from here on count from the network header."""
RANDOM = -0x1000 + 56
"""``SKF_AD_OFF + SKF_AD_RANDOM``: a load from here is a fresh random number."""

LOAD_WORD, LOAD_HALF, LOAD_BYTE = 0x20, 0x28, 0x30
LOAD_HALF_INDEXED = 0x48
LOAD_HEADER_LENGTH = 0xB1  # X = 4 * (byte & 0xF)
AND, SHIFT_RIGHT, MODULO = 0x54, 0x74, 0x94
JUMP, JUMP_EQUAL, JUMP_AT_LEAST = 0x05, 0x15, 0x35
RETURN = 0x06

TCP_IN_IPV6 = 6
IPV6_HEADER_BYTES = 40


@dataclass(frozen=True, slots=True)
class ProbeMatch:
    """Which connections are the supervisor's own: source address in the IPv4 network (or ``::1``) and source port in
    ``port_first .. port_first + port_count - 1``. The count is a power of two and the first port a multiple of it."""

    port_first: int
    port_count: int
    network: int = 0x7F000000
    netmask: int = 0xFF000000

    def __post_init__(self) -> None:
        assert self.port_count.bit_count() == 1, "the block's size is a power of two"
        assert self.port_first % self.port_count == 0, "the block is aligned to its size"


@dataclass(frozen=True, slots=True)
class Split:
    """Where connections go: group indices of the two sockets, the share of the second, and the probe's index."""

    first: int
    second: int
    second_percent: int
    probe: int

    def __post_init__(self) -> None:
        assert 0 <= self.second_percent <= 100, "a percentage"


@dataclass(frozen=True, slots=True)
class _Line:
    code: int
    operand: int = 0
    if_true: str = ""
    if_false: str = ""


def steering_program(match: ProbeMatch, split: Split) -> bytes:
    """The program as ``struct sock_filter[]``: probes to ``split.probe``, everything else by weight."""
    return _assemble([*_probe_lines(match, split.probe), *_weight_lines(split)])


def _probe_lines(match: ProbeMatch, index: int) -> list[_Line | str]:
    net = NET_OFFSET
    return [
        _Line(LOAD_BYTE, net),
        _Line(SHIFT_RIGHT, 4),
        _Line(JUMP_EQUAL, 6, "ipv6"),
        _Line(JUMP_EQUAL, 4, "", "weigh"),
        _Line(LOAD_WORD, net + 12),
        _Line(AND, match.netmask),
        _Line(JUMP_EQUAL, match.network, "", "weigh"),
        _Line(LOAD_HEADER_LENGTH, net),
        _Line(LOAD_HALF_INDEXED, net),
        _Line(JUMP, 0, "port"),
        "ipv6",
        _Line(LOAD_BYTE, net + 6),
        _Line(JUMP_EQUAL, TCP_IN_IPV6, "", "weigh"),
        *(
            line
            for at, word in ((8, 0), (12, 0), (16, 0), (20, 1))  # the source address is ::1
            for line in (_Line(LOAD_WORD, net + at), _Line(JUMP_EQUAL, word, "", "weigh"))
        ),
        _Line(LOAD_HALF, net + IPV6_HEADER_BYTES),
        "port",
        _Line(AND, 0xFFFF & ~(match.port_count - 1)),
        _Line(JUMP_EQUAL, match.port_first, "", "weigh"),
        _Line(RETURN, index),
        "weigh",
    ]


def _weight_lines(split: Split) -> list[_Line | str]:
    """All or nothing needs no randomness, so that 0 and 100 are exact by construction."""
    if split.second_percent == 0:
        return [_Line(RETURN, split.first)]
    if split.second_percent == 100:
        return [_Line(RETURN, split.second)]
    return [
        _Line(LOAD_WORD, RANDOM),
        _Line(MODULO, 100),
        _Line(JUMP_AT_LEAST, split.second_percent, "first"),
        _Line(RETURN, split.second),
        "first",
        _Line(RETURN, split.first),
    ]


def _assemble(source: list[_Line | str]) -> bytes:
    """Resolve the labels (strings stand before the line they name) and pack."""
    places: dict[str, int] = {}
    lines: list[_Line] = []
    for item in source:
        if isinstance(item, str):
            places[item] = len(lines)
        else:
            lines.append(item)
    return b"".join(_pack(line, at, places) for at, line in enumerate(lines))


def _pack(line: _Line, at: int, places: dict[str, int]) -> bytes:
    def distance(label: str) -> int:
        return places[label] - at - 1 if label else 0

    if line.code == JUMP:
        return struct.pack("=HBBI", line.code, 0, 0, distance(line.if_true))
    return struct.pack("=HBBI", line.code, distance(line.if_true), distance(line.if_false), line.operand & 0xFFFFFFFF)
