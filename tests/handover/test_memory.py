"""Memories: sealed ones do not change, mapped ones show what is mapped, and views stay where they are."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import xxhash

from aeterna.handover import memory
from tests.handover.srp_world import open_fds

PAGE = mmap.PAGESIZE


@contextmanager
def open_memory(data: bytes, seals: int = 0) -> Iterator[int]:
    fd = memory.create("test", len(data))
    try:
        os.pwrite(fd, data, 0)
        if seals:
            memory.seal(fd, seals)
        yield fd
    finally:
        os.close(fd)


def test_a_sealed_memory_can_be_neither_written_nor_resized() -> None:
    fd = memory.create_sealed("sessions", b"one")
    assert memory.seals_of(fd) == memory.ALL_SEALS
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    for size in (0, 10):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    assert bytes(memory.content(fd)) == b"one"
    os.close(fd)


def test_a_live_memory_can_be_written_and_not_resized() -> None:
    with open_memory(b"one", memory.SIZE_SEALS) as fd:
        os.pwrite(fd, b"two", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 100)
        assert bytes(memory.content(fd)) == b"two"


def test_an_empty_memory_has_an_empty_content() -> None:
    fd = memory.create_sealed("empty", b"")
    assert bytes(memory.content(fd)) == b""
    os.close(fd)


@pytest.mark.parametrize("name", ["plain", "with space", "über/../x", "nul\0", "\ud800", "x" * 500])
def test_any_name_will_do(name: str) -> None:
    fd = memory.create(name)
    assert "aeterna:" in str(Path(f"/proc/self/fd/{fd}").readlink())
    os.close(fd)


def test_a_memory_that_cannot_have_its_size_is_closed() -> None:
    before = open_fds()
    with pytest.raises((OSError, OverflowError)):
        memory.create("huge", 1 << 63)
    with pytest.raises(OSError):
        memory.create("negative", -1)
    assert open_fds() == before


def test_a_mapping_holds_no_descriptor_and_shows_the_memory() -> None:
    mapped = memory.reserve(PAGE)
    view = memoryview(mapped)
    before = open_fds()
    with open_memory(b"a" * PAGE) as fd:
        memory.map_over(mapped, fd, is_writable=True, populates=False)
        view[0] = ord("b")
        assert os.pread(fd, 2, 0) == b"ba"
    assert open_fds() == before
    assert bytes(view[:2]) == b"ba"


def test_a_view_shows_whatever_is_mapped_in_its_place() -> None:
    mapped = memory.reserve(2 * PAGE)
    view = memoryview(mapped)
    for letter in b"abc":
        with open_memory(bytes([letter]) * 2 * PAGE) as fd:
            memory.map_over(mapped, fd, is_writable=True, populates=True)
            assert set(view) == {letter}


def test_a_memory_that_cannot_be_mapped_says_so_and_leaves_what_was_there() -> None:
    mapped = memory.reserve(PAGE)
    with open_memory(b"a" * PAGE) as fd:
        memory.map_over(mapped, fd, is_writable=True, populates=True)
    reader, writer = os.pipe()
    with pytest.raises(OSError, match=f"cannot map {PAGE} bytes"):
        memory.map_over(mapped, reader, is_writable=True, populates=False)
    os.close(reader)
    os.close(writer)
    assert mapped[0] == ord("a")


def test_memories_are_told_apart_by_what_they_are() -> None:
    with open_memory(b"a") as one, open_memory(b"a") as two:
        again = os.dup(one)
        assert memory.identity(one) == memory.identity(again) != memory.identity(two)
        os.close(again)


def test_digests_are_those_of_the_algorithms() -> None:
    data = os.urandom(100_000)
    assert memory.digest(data, "sha256") == hashlib.sha256(data).hexdigest()
    assert memory.digest(memoryview(data), "xxh3-128") == xxhash.xxh3_128(data).hexdigest()
    with pytest.raises(ValueError, match=r"md5.*xxh3-128, sha256"):
        memory.digest(data, "md5")


def test_large_data_is_written_whole_from_the_place_where_the_memory_stands() -> None:
    data = os.urandom(3 * 1024 * 1024)
    fd = memory.create("large")
    memory.write(fd, data[:1000])
    memory.write(fd, memoryview(data)[1000:])
    assert memory.content(fd) == data
    assert memory.content(fd, populates=False) == data
    os.close(fd)
