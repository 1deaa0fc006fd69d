"""What a process gives and takes, frame by frame; what arrives is checked before anything is changed."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aeterna.handover import memory
from aeterna.handover.channel import Arrival
from aeterna.handover.frames import Kind
from aeterna.handover.parts import ValuePart, codec_of_hooks
from tests.handover.srp_supervisor import Talk, talk


def parts_until_end(now: Talk) -> tuple[list[tuple[dict[str, Any], bytes]], dict[str, Any]]:
    """The parts that come, with what their memories hold, and the END."""
    found = []
    while (arrival := now.supervisor.receive()).kind == Kind.PART:
        assert memory.seals_of(arrival.fd)
        found.append((arrival.json(), bytes(memory.content(arrival.fd))))
        arrival.close()
    assert arrival.kind == Kind.END
    return found, arrival.json()


def text_of(arrival: Arrival, kind: Kind = Kind.NACK) -> str:
    assert arrival.kind == kind, arrival.frame.payload
    return str(arrival.json().get("text"))


def test_the_state_is_given_part_by_part_and_then_the_digests() -> None:
    with talk() as now:
        now.value("sessions", {"a": 1})
        now.buffer("vectors", 5000).view[:3] = b"abc"
        now.supervisor.accept()
        now.supervisor.ask(Kind.QUIESCE, Kind.QUIESCED)
        now.supervisor.say(Kind.REQUEST, {"digest": "sha256"})
        parts, end = parts_until_end(now)
        (sessions, data), (vectors, raw) = parts
        assert (sessions["part"], sessions["codec"], sessions["live"], data) == ("sessions", "json", False, b'{"a":1}')
        assert (vectors["part"], vectors["live"], vectors["bytes"], raw[:3]) == ("vectors", True, 5000, b"abc")
        assert end["digests"] == {"sessions": memory.digest(data, "sha256"), "vectors": memory.digest(raw, "sha256")}
        assert (end["bytes"], end["ahead"]) == (len(data) + 5000, False)


def test_only_live_memory_is_given_ahead() -> None:
    with talk() as now:
        now.value("sessions", {})
        now.buffer("vectors", 5000)
        now.supervisor.accept()
        now.supervisor.say(Kind.PRECOPY)
        parts, end = parts_until_end(now)
        assert [each["part"] for each, _ in parts] == ["vectors"]
        assert parts[0][0]["ahead"]
        assert end["ahead"]


def test_live_memory_that_both_may_write_to_has_no_digest() -> None:
    """With ``mode: shared`` nobody stops writing, so a digest would be of no use."""
    with talk() as now:
        now.buffer("vectors", 5000)
        now.value("sessions", {})
        now.supervisor.accept()
        now.supervisor.say(Kind.REQUEST)
        _, end = parts_until_end(now)
        assert end["digests"]["vectors"] == ""
        assert end["digests"]["sessions"]


def test_a_dump_that_fails_is_told_and_leaves_no_descriptor() -> None:
    with talk() as now:
        now.buffer("vectors", 5000)
        now.value("sessions", {"a": object()})
        now.supervisor.accept()
        now.supervisor.ask(Kind.QUIESCE, Kind.QUIESCED)
        now.supervisor.say(Kind.REQUEST)
        now.supervisor.receive().close()
        nack = now.supervisor.expect(Kind.NACK)
        assert nack["code"] == "dump"
        assert "part 'sessions': TypeError" in nack["text"]


def test_an_unknown_digest_is_refused() -> None:
    with talk() as now:
        now.value("sessions", {})
        now.supervisor.accept()
        now.supervisor.say(Kind.REQUEST, {"digest": "md5"})
        now.supervisor.receive().close()
        assert "md5" in now.supervisor.expect(Kind.NACK)["text"]


def test_a_state_arrives_in_the_objects_that_are_there() -> None:
    with talk("candidate") as now:
        sessions, seen = now.value("sessions", {"old": 1}), now.value("seen", set())
        now.supervisor.accept()
        answer = now.supervisor.give({"sessions": ("json", b'{"a":1}'), "seen": ("json", b"[1,2]"), "x": ("raw", b"")})
        body = answer.json()
        assert answer.kind == Kind.RESTORED, body
        assert (body["parts"], body["dropped"]) == (["sessions", "seen"], ["x"])
        assert (sessions, seen) == ({"a": 1}, {1, 2})
        status = now.supervisor.ask(Kind.STATUS, Kind.STATUS)
        assert status["restored"]["digests"] == body["digests"]
        assert now.supervisor.ask(Kind.STATUS, Kind.STATUS, txn=2)["restored"] == {}


@pytest.mark.parametrize(
    ("codec", "data", "more", "words"),
    [
        ("json", b"{", {}, "part 'sessions': JSONDecodeError"),
        ("json", b"[]", {}, "a list cannot be filled into a dict"),
        ("msgpack", b"\x80", {}, "is encoded as msgpack; this code takes json"),
        ("json", b"{}", {"version": 3}, r"has version 3; this code takes [1, 2]"),
        ("json", b"{}", {"version": None}, "has version None"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_changed(
    codec: str, data: bytes, more: dict[str, Any], words: str
) -> None:
    with talk("candidate") as now:
        first = now.value("first", ["kept"])
        sessions = now.value("sessions", {"kept": 1}, version=2, versions=frozenset({1, 2}))
        now.supervisor.accept()
        answer = now.supervisor.give({"first": ("json", b"[1]"), "sessions": (codec, data)}, **more)
        assert words in text_of(answer) or (more and "part 'first'" in text_of(answer))
        assert (first, sessions) == (["kept"], {"kept": 1})


def test_an_older_version_is_taken_by_code_that_names_it() -> None:
    with talk("candidate") as now:
        sessions = now.value("sessions", {}, version=2, versions=frozenset({1, 2}))
        now.supervisor.accept()
        assert now.supervisor.give({"sessions": ("json", b'{"a":1}')}).kind == Kind.RESTORED
        assert sessions == {"a": 1}


def test_a_digest_that_differs_is_refused() -> None:
    with talk("candidate") as now:
        sessions = now.value("sessions", {"kept": 1})
        now.supervisor.accept()
        manifest = {"part": "sessions", "codec": "json", "version": 1, "bytes": 2}
        fd = memory.create_sealed("sessions", b"{}")
        now.supervisor.say(Kind.PART, manifest, fd=fd)
        os.close(fd)
        now.supervisor.say(Kind.RESTORE, {"parts": [manifest], "digests": {"sessions": "0" * 32}})
        assert "has digest" in text_of(now.supervisor.receive())
        assert sessions == {"kept": 1}


def test_a_part_that_was_announced_and_did_not_come_is_missed() -> None:
    with talk("candidate") as now:
        now.value("sessions", {})
        now.supervisor.accept()
        now.supervisor.say(Kind.PART, {"part": "sessions"})
        now.supervisor.say(Kind.RESTORE, {"parts": [{"part": "sessions", "version": 1, "codec": "json"}]})
        assert "has not arrived" in text_of(now.supervisor.receive())


def test_what_has_arrived_is_forgotten_when_the_connection_breaks() -> None:
    with talk("candidate") as now:
        now.value("sessions", {})
        now.supervisor.accept()
        manifest = {"part": "sessions", "codec": "json", "version": 1, "bytes": 2}
        fd = memory.create_sealed("sessions", b"{}")
        now.supervisor.say(Kind.PART, manifest, fd=fd)
        os.close(fd)
        now.supervisor.ask(Kind.PING, Kind.PONG)
        now.supervisor.hang_up()
        now.supervisor.accept()
        digests = {"sessions": memory.digest(b"{}", "xxh3-128")}
        now.supervisor.say(Kind.RESTORE, {"parts": [manifest], "digests": digests})
        assert "has not arrived" in text_of(now.supervisor.receive())


def test_an_own_load_that_raises_is_told_in_its_words() -> None:
    def load(value: object, data: bytes) -> None:
        raise RuntimeError(f"cannot read {data!r}")

    with talk("candidate") as now:
        now.declare(ValuePart("cache", {}, "custom", codec_of_hooks(repr, load)))  # type: ignore[arg-type]
        now.supervisor.accept()
        answer = now.supervisor.give({"cache": ("custom", b"xyz")})
        assert text_of(answer) == "part 'cache': RuntimeError: cannot read b'xyz'"


def test_a_buffer_that_came_ahead_and_was_not_given_is_the_own_one_again() -> None:
    with talk("candidate") as now:
        buffer = now.buffer("vectors", 5000)
        buffer.view[:3] = b"own"
        now.supervisor.accept()
        fd = memory.create("vectors", 5000)
        now.supervisor.say(Kind.PART, {"part": "vectors", "ahead": True}, fd=fd)
        now.supervisor.ask(Kind.STATUS, Kind.STATUS)
        assert bytes(buffer.view[:3]) == b"\0\0\0"
        now.supervisor.ask(Kind.ACCEPT, Kind.ACCEPTING)
        buffer.view[0] = ord("O")
        assert bytes(buffer.view[:3]) == b"Own"
        assert os.pread(fd, 3, 0) == b"\0\0\0"
        os.close(fd)


def test_a_large_part_is_reported_when_it_has_been_checked() -> None:
    with talk("candidate") as now:
        now.buffer("vectors", 64 * 1024 * 1024)
        now.supervisor.accept()
        fd = memory.create("vectors", 64 * 1024 * 1024)
        now.supervisor.say(Kind.PART, {"part": "vectors", "ahead": False}, fd=fd)
        os.close(fd)
        report = now.supervisor.receive()
        assert report.frame.is_optional
        assert (report.kind, report.json()["part"], report.json()["checked"]) == (Kind.STATUS, "vectors", 67_108_864)
