"""Sizes and addresses: what people write is read, anything else is refused with what would be right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.config.addresses import LOOPBACK, Address, parse_address
from aeterna.config.mistakes import UnfitError
from aeterna.config.sizes import BYTES_MAX, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("512m", 512 * 2**20),
        ("8GiB", 8 * 2**30),
        ("1.5g", 3 * 2**29),
        ("64kb", 2**16),
        ("1TB", 2**40),
        ("10b", 10),
        ("0.0001k", 1),
    ],
)
def test_a_size_is_whole_bytes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("8 gigs", "did you mean '8g'?"),
        ("512 MB", "did you mean '512m'?"),
        ("much", "512m, 8GiB or 1.5g"),
        ("-1", "512m, 8GiB or 1.5g"),
        ("8ib", "512m, 8GiB or 1.5g"),
        ("9999999999t", "at most"),
    ],
)
def test_what_is_no_size_is_refused(text: str, right: str) -> None:
    with pytest.raises(UnfitError) as caught:
        parse_size(text)
    assert right in caught.value.right


@given(st.integers(0, BYTES_MAX))
def test_a_written_size_reads_as_it_was(count: int) -> None:
    assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8080", Address("tcp4", "0.0.0.0", 8080)),
        ("127.0.0.1:0", Address("tcp4", "127.0.0.1", 0)),
        ("[::]:8080", Address("tcp6", "::", 8080)),
        ("[0:0::1]:80", Address("tcp6", "::1", 80)),
        (":8080", Address("tcp4", "0.0.0.0", 8080)),
        ("8080", Address("tcp4", "0.0.0.0", 8080)),
        ("*:8080", Address("tcp4", "0.0.0.0", 8080)),
        ("localhost:8080", Address("tcp4", "127.0.0.1", 8080)),
        ("unix:/run/a.sock", Address("unix", path="/run/a.sock")),
        ("unix:///run/a.sock", Address("unix", path="/run/a.sock")),
        ("unix:a.sock", Address("unix", path="a.sock")),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


def test_a_bare_port_is_where_the_key_says() -> None:
    assert parse_address("9091", LOOPBACK) == Address("tcp4", "127.0.0.1", 9091)


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("example.com:80", "'example.com' is no IP address", "0.0.0.0 for all"),
        ("127.0.0.1:http", "'http' is no port", "a number from 1 to 65535"),
        ("127.0.0.1:", "it names no port", "a number from 1 to 65535"),
        ("0.0.0.0:70000", "there is no port 70000", "or 0 for any that is free"),
        ("::1:80", "it is no address", "[::]:8080"),
        ("/run/a.sock", "it is no address", "unix:/run/a.sock"),
        ("http://a/", "it is no address", "0.0.0.0:8080"),
        ("unix:", "it names no path", "unix:/run/app.sock"),
        ("-1", "'-1' is no port", "a number"),
    ],
)
def test_what_is_no_address_is_refused(text: str, wrong: str, right: str) -> None:
    with pytest.raises(UnfitError) as caught:
        parse_address(text)
    assert caught.value.wrong == wrong
    assert right in caught.value.right
