"""Parts: what one object gives, another of the same kind takes, in place; what does not fit changes nothing."""

from __future__ import annotations

import datetime as dt
import faulthandler
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.handover import memory
from aeterna.handover.parts import CODECS, Buffer, BufferPart, DumpError, LoadError, Part, ValuePart, codec_of_hooks
from tests.handover.srp_world import open_fds

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = open_fds()
    yield
    assert open_fds() == before


def value_part(value: Any, codec: str = "json", **more: Any) -> ValuePart:
    return ValuePart("part", value, codec, CODECS[codec], **more)


def move(giver: Part, taker: Part) -> None:
    """What a handover does, without one."""
    fd, manifest = giver.export()
    try:
        assert memory.size_of(fd) == manifest.size
        assert manifest.is_live == giver.is_live
        taker.take(fd, taker.content(fd))()
    finally:
        os.close(fd)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_a_dict_of_json_values_arrives_in_the_same_object(value: dict[str, Any]) -> None:
    taken = {"before": 1}
    move(value_part(value), value_part(taken))
    assert taken == value


@pytest.mark.parametrize(
    ("codec", "value", "empty"),
    [
        ("json", [1, [2, "three"]], list),
        ("json", {1, 2, 3}, set),
        ("json", {("a", 1), ("b", 2)}, set),
        ("msgpack", {1: b"one", "two": dt.datetime(2026, 1, 2, tzinfo=dt.UTC).isoformat()}, dict),
        ("msgpack", {b"x", b"y"}, set),
        ("msgpack", [b"\0", None], list),
        ("raw", bytearray(range(256)), bytearray),
        ("raw", bytearray(), bytearray),
    ],
)
def test_values_of_all_kinds_arrive(codec: str, value: Any, empty: Callable[[], Any]) -> None:
    taken = empty()
    before = id(taken)
    move(value_part(value, codec), value_part(taken, codec))
    assert taken == value
    assert id(taken) == before


def test_a_value_that_another_name_holds_is_the_one_that_is_filled() -> None:
    sessions: dict[str, int] = {}
    alias = sessions
    move(value_part({"a": 1}), value_part(sessions))
    assert alias == {"a": 1}


def test_own_functions_decide_how_an_object_is_moved() -> None:
    class Cache:
        def __init__(self, items: str) -> None:
            self.items = items

    def load(cache: Cache, data: bytes) -> None:
        cache.items = data.decode()

    how = codec_of_hooks(lambda cache: cache.items.encode(), load)
    taken = Cache("")
    move(ValuePart("c", Cache("abc"), "custom", how), ValuePart("c", taken, "custom", how))
    assert taken.items == "abc"


def fail(*_: object) -> Any:
    raise KeyError("nobody")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (value_part({1: "one"}), r"part 'part'.*the key 1 .*msgpack|the key 1 "),
        (value_part({"a": object()}), r"part 'part': TypeError: .*not JSON serializable"),
        (value_part([object()], "msgpack"), r"part 'part': TypeError"),
        (ValuePart("p", {}, "custom", codec_of_hooks(fail, fail)), r"part 'p': KeyError: 'nobody'"),
        (ValuePart("p", {}, "custom", codec_of_hooks(lambda _: "text", fail)), r"part 'p': TypeError.*'str'"),  # type: ignore[arg-type, return-value]
    ],
)
def test_what_cannot_be_dumped_says_which_part_and_why(part: Part, words: str) -> None:
    with pytest.raises(DumpError, match=words):
        part.export()


@pytest.mark.parametrize(
    ("codec", "data", "value"),
    [
        ("json", b"[1]", {"kept": 1}),
        ("json", b"{", {"kept": 1}),
        ("json", b"\xff", {"kept": 1}),
        ("json", b'{"a": 1}', ["kept"]),
        ("json", b'[{"a": 1}]', {"kept"}),
        ("msgpack", b"\xc1", {"kept": 1}),
        ("msgpack", b"\x01", ["kept"]),
    ],
)
def test_what_does_not_fit_changes_nothing(codec: str, data: bytes, value: Any) -> None:
    before = value.copy()
    with pytest.raises(LoadError, match="part"):
        value_part(value, codec).take(-1, memoryview(data))
    assert value == before


def test_an_own_load_that_raises_does_so_only_when_it_is_its_turn() -> None:
    part = ValuePart("p", {}, "custom", codec_of_hooks(fail, fail))
    put = part.take(-1, memoryview(b""))
    with pytest.raises(LoadError, match="part 'p': KeyError: 'nobody'"):
        put()


# --- buffers ---------------------------------------------------------------------------------------------------------


def buffer_part(size: int = 10_000, fill: bytes = b"") -> BufferPart:
    buffer = Buffer("vectors", size)
    buffer.view[: len(fill)] = fill
    return BufferPart("vectors", buffer)


@pytest.fixture
def buffers() -> Iterator[list[BufferPart]]:
    made = [buffer_part(fill=b"old"), buffer_part(fill=b"new")]
    yield made
    for part in made:
        os.close(part.buffer.fd)


def test_a_buffer_is_the_same_memory_for_both(buffers: list[BufferPart]) -> None:
    old, new = buffers
    view = new.buffer.view
    move(old, new)
    assert bytes(view[:3]) == b"old"
    view[0] = ord("O")
    assert bytes(old.buffer.view[:3]) == b"Old"
    assert len(new.buffer) == 10_000


def test_numpy_arrays_over_a_buffer_show_what_arrived(buffers: list[BufferPart]) -> None:
    old, new = buffers
    array = np.frombuffer(new.buffer.view, dtype=np.uint8)
    rows = array.reshape(100, 100)[3:5]
    np.frombuffer(old.buffer.view, dtype=np.uint8)[:] = 7
    move(old, new)
    assert array.min() == array.max() == 7
    rows += 1
    assert old.buffer.view[300] == 8


def test_a_borrowed_buffer_shows_the_others_memory_and_gets_its_own_back(buffers: list[BufferPart]) -> None:
    old, new = buffers
    fd, _ = old.export()
    new.prepare(fd)
    assert bytes(new.buffer.view[:3]) == b"old"
    old.buffer.view[0] = ord("c")
    assert bytes(new.buffer.view[:3]) == b"cld"
    new.settle()
    assert bytes(new.buffer.view[:3]) == b"new"
    new.buffer.view[0] = ord("N")
    assert bytes(old.buffer.view[:3]) == b"cld"
    os.close(fd)


def test_a_borrowed_buffer_can_be_written_to_once_it_is_taken(buffers: list[BufferPart]) -> None:
    old, new = buffers
    fd, _ = old.export()
    new.prepare(fd)
    new.take(fd, new.content(fd))()
    new.settle()
    new.buffer.view[:5] = b"mine!"
    assert bytes(old.buffer.view[:5]) == b"mine!"
    os.close(fd)


def test_writing_to_a_borrowed_buffer_ends_the_process_that_tries(buffers: list[BufferPart]) -> None:
    old, new = buffers
    fd, _ = old.export()
    new.prepare(fd)
    pid = os.fork()
    if not pid:
        faulthandler.disable()
        new.buffer.view[0] = 1
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    assert os.WIFSIGNALED(status)
    assert bytes(old.buffer.view[:3]) == b"old"


def test_a_buffer_that_comes_home_is_the_own_one_again(buffers: list[BufferPart]) -> None:
    """As in a rollback that hands the state back."""
    old, new = buffers
    move(old, new)
    new.buffer.view[:3] = b"two"
    move(new, old)
    old.buffer.view[3] = ord("!")
    assert bytes(new.buffer.view[:4]) == b"two!"


def test_the_memory_a_buffer_had_before_is_given_back(buffers: list[BufferPart]) -> None:
    old, new = buffers
    before = memory.identity(new.buffer.fd)
    move(old, new)
    held = [path.stat() for path in Path("/proc/self/fd").iterdir() if path.exists()]
    assert before not in {(each.st_dev, each.st_ino) for each in held}


def test_a_buffer_of_another_size_is_refused() -> None:
    old, new = buffer_part(10), buffer_part(20)
    fd, _ = old.export()
    for refuse in (lambda: new.prepare(fd), lambda: new.take(fd, memoryview(b""))):
        with pytest.raises(LoadError, match="has 10 bytes, and this code declares 20"):
            refuse()
    for each in (fd, old.buffer.fd, new.buffer.fd):
        os.close(each)
