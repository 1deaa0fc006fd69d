"""Peers that stall, lie, flood and forge: each ends in a clean failure, in time, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aeterna.handover import frames, memory
from aeterna.handover.frames import CHUNK_BYTES_MAX, Kind
from aeterna.supervisor.host import relay as relays
from aeterna.supervisor.host.relay import RelayError, RelayFault
from tests.handover.srp_world import Scripted, World, encoded, open_fds, srp_world, until

TXN, SHORT_MS, LONG_MS = 1, 150, 15_000
MANIFEST = {"part": "s", "codec": "raw", "version": 1, "bytes": 5, "live": False}


async def snapshot_fails(
    world: World, misbehave: Callable[[Scripted, int], Awaitable[None] | None], *, limit_ms: int = LONG_MS
) -> RelayError:
    """Ask a giver for its state, which then does as it likes."""
    giver = await world.join(1, "s")
    asking = asyncio.ensure_future(world.relay.snapshot(1, TXN, limit_ms))
    question = await giver.asked(Kind.REQUEST)
    done = misbehave(giver, question["re"])
    if done is not None:
        await done
    with pytest.raises(RelayError) as caught:
        (await asking).close()
    return caught.value


def part(peer: Scripted, re: int, data: bytes | None, *, seals: int = memory.ALL_SEALS, **more: Any) -> None:
    """A part as a memory, or without one."""
    body = {**MANIFEST, "txn": TXN, "re": re, **more}
    if data is None:
        peer.send(Kind.PART, body)
        return
    fd = memory.create("s")
    memory.write(fd, data)
    memory.seal(fd, seals)
    peer.send(Kind.PART, body, fd)
    os.close(fd)


def chunks(peer: Scripted, re: int, size: Any, *payloads: bytes) -> None:
    peer.send(Kind.PART, {**MANIFEST, "bytes": size, "chunks": True, "txn": TXN, "re": re})
    for payload in payloads:
        peer.channel.send_bytes(Kind.CHUNK, payload)


async def after(peer: Scripted, *steps: Callable[[], object]) -> None:
    for step in steps:
        step()


MISDEEDS: dict[str, tuple[Callable[[Scripted, int], Any], RelayFault]] = {
    "says nothing": (lambda _peer, _re: None, RelayFault.TIMEOUT),
    "dies": (lambda peer, _re: peer.close(), RelayFault.GONE),
    "dies in the middle of a frame": (
        lambda peer, _re: after(peer, lambda: peer.send_raw(encoded(Kind.PART, b"{}")[:7]), peer.close),
        RelayFault.GONE,
    ),
    "dies after a part": (
        lambda peer, re: after(peer, lambda: part(peer, re, b"12345"), peer.close),
        RelayFault.GONE,
    ),
    "sends garbage": (lambda peer, _re: peer.send_raw(b"\xff" * 64), RelayFault.GARBAGE),
    "sends the right magic and nonsense": (
        lambda peer, _re: peer.send_raw(encoded(Kind.PART, b"\x00{{{")),
        RelayFault.GARBAGE,
    ),
    "nests without an end": (lambda peer, _re: peer.send_raw(encoded(Kind.PART, b"[" * 100_000)), RelayFault.GARBAGE),
    "announces a frame of 4 GiB": (
        lambda peer, _re: peer.send_raw(b"\xff\xff\xff\xff\xae\x7e\x20\x24\x01\x21\x00\x00"),
        RelayFault.GARBAGE,
    ),
    "sends a part without a memory": (lambda peer, re: part(peer, re, None), RelayFault.GARBAGE),
    "sends a part without a manifest": (lambda peer, re: peer.send(Kind.PART, {"re": re}), RelayFault.GARBAGE),
    "sends a memory without a manifest": (lambda peer, re: part(peer, re, b"12345", part=None), RelayFault.GARBAGE),
    "sends a size that is no number": (lambda peer, re: part(peer, re, b"12345", bytes="5"), RelayFault.GARBAGE),
    "sends a negative size": (lambda peer, re: part(peer, re, None, bytes=-1, chunks=True), RelayFault.GARBAGE),
    "sends a name that is none": (lambda peer, re: part(peer, re, b"12345", part=""), RelayFault.GARBAGE),
    "sends a memory that is too small": (lambda peer, re: part(peer, re, b"1234"), RelayFault.GARBAGE),
    "sends a memory that is too large": (lambda peer, re: part(peer, re, b"123456"), RelayFault.GARBAGE),
    "sends a memory that is not sealed": (lambda peer, re: part(peer, re, b"12345", seals=0), RelayFault.UNSEALED),
    "sends a memory that can be written to": (
        lambda peer, re: part(peer, re, b"12345", seals=memory.SIZE_SEALS),
        RelayFault.UNSEALED,
    ),
    "sends live memory that can shrink": (
        lambda peer, re: part(peer, re, b"12345", seals=memory.SEAL_GROW, live=True),
        RelayFault.UNSEALED,
    ),
    "sends a part twice": (
        lambda peer, re: after(peer, *[lambda: part(peer, re, b"12345")] * 2),
        RelayFault.GARBAGE,
    ),
    "sends digests that are none": (
        lambda peer, re: after(
            peer,
            lambda: part(peer, re, b"12345"),
            lambda: peer.send(Kind.END, {"txn": TXN, "re": re, "digests": [1]}),
        ),
        RelayFault.GARBAGE,
    ),
    "sends a chunk that nobody announced": (
        lambda peer, _re: peer.channel.send_bytes(Kind.CHUNK, b"x"),
        RelayFault.GARBAGE,
    ),
    "sends more chunks than it announced": (
        lambda peer, re: chunks(peer, re, 5, b"1234", b"5678"),
        RelayFault.GARBAGE,
    ),
    "stops after half of its chunks": (lambda peer, re: chunks(peer, re, 5, b"12"), RelayFault.TIMEOUT),
    "ends after half of its chunks": (
        lambda peer, re: after(
            peer, lambda: chunks(peer, re, 5, b"12"), lambda: peer.send(Kind.END, {"txn": TXN, "re": re})
        ),
        RelayFault.GARBAGE,
    ),
    "announces more chunks than it may": (lambda peer, re: chunks(peer, re, 1 << 60), RelayFault.TOO_BIG),
    "sends a chunk over the limit": (
        lambda peer, _re: peer.send_raw(frames.HEADER.pack(8 + CHUNK_BYTES_MAX + 1, frames.MAGIC, 1, Kind.CHUNK, 0)),
        RelayFault.GARBAGE,
    ),
    "lies about the digest of its chunks": (
        lambda peer, re: after(
            peer,
            lambda: chunks(peer, re, 2, b"12"),
            lambda: peer.send(Kind.END, {"txn": TXN, "re": re, "digests": {"s": "0"}}),
        ),
        RelayFault.GARBAGE,
    ),
    "answers another question": (
        lambda peer, re: peer.send(Kind.END, {"txn": TXN, "re": re + 7}),
        RelayFault.TIMEOUT,
    ),
    "answers in another handover": (
        lambda peer, re: peer.send(Kind.END, {"txn": TXN + 1, "re": re}),
        RelayFault.TIMEOUT,
    ),
    "numbers its handover with a list": (
        lambda peer, re: peer.send(Kind.END, {"txn": [1], "re": re}),
        RelayFault.TIMEOUT,
    ),
    "refuses": (lambda peer, re: peer.send(Kind.NACK, {"re": re, "text": "not now"}), RelayFault.REFUSED),
    "refuses without words": (lambda peer, re: peer.send(Kind.NACK, {"re": re, "text": ["?"]}), RelayFault.REFUSED),
    "is busy": (lambda peer, re: peer.send(Kind.BUSY, {"re": re}), RelayFault.BUSY),
    "answers something else": (lambda peer, re: peer.send(Kind.RESUMED, {"re": re}), RelayFault.GARBAGE),
    "sends an old state that is too big": (
        lambda peer, _re: peer.send_raw(encoded(Kind.STATE_BINARY, bytes(2_000))),
        RelayFault.TOO_BIG,
    ),
    "sends a state in one frame after a part": (
        lambda peer, re: after(
            peer,
            lambda: part(peer, re, b"12345"),
            lambda: peer.channel.send_bytes(Kind.STATE_JSON, b"{}"),
        ),
        RelayFault.GARBAGE,
    ),
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
async def test_a_giver_that_misbehaves_is_a_clean_failure(misdeed: str) -> None:
    misbehave, fault = MISDEEDS[misdeed]
    async with srp_world(bytes_max=1_000) as world:
        limit_ms = SHORT_MS if fault is RelayFault.TIMEOUT else LONG_MS
        error = await snapshot_fails(world, misbehave, limit_ms=limit_ms)
        assert error.fault is fault, error


async def test_the_limit_holds_for_all_parts_together() -> None:
    async with srp_world(bytes_max=12) as world:
        names = iter("abc")

        def three_parts(peer: Scripted, re: int) -> None:
            for _ in range(3):
                part(peer, re, b"12345", part=next(names))

        assert (await snapshot_fails(world, three_parts)).fault is RelayFault.TOO_BIG


async def test_nobody_can_have_more_parts_than_there_are_descriptors_for() -> None:
    async with srp_world() as world:

        async def many(peer: Scripted, re: int) -> None:
            # As fast as the relay takes them: the kernel lets only so many descriptors wait.
            await asyncio.to_thread(lambda: [part(peer, re, b"12345", part=f"p{number}") for number in range(520)])

        error = await snapshot_fails(world, many)
        assert error.fault is RelayFault.GARBAGE
        assert "512 parts" in str(error)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ((Kind.NACK, {"text": "no"}), RelayFault.REFUSED),
        ((Kind.RESTORED, {"digests": {"s": "0"}}), RelayFault.REFUSED),
        ((Kind.RESTORED, {"digests": 5}), RelayFault.GARBAGE),
        ((Kind.RESTORED, {"dropped": 5}), RelayFault.GARBAGE),
        ((Kind.ACK, {}), RelayFault.GARBAGE),
        (None, RelayFault.TIMEOUT),
    ],
)
async def test_a_taker_that_misbehaves_is_a_clean_failure(answer: Any, fault: RelayFault) -> None:
    async with srp_world() as world:
        giver, taker = await world.join(1, "s"), await world.join(2, "s")
        giving = asyncio.ensure_future(world.relay.snapshot(1, TXN, LONG_MS, forward_to=2))
        question = await giver.asked(Kind.REQUEST)
        part(giver, question["re"], b"12345")
        giver.send(Kind.END, {"txn": TXN, "re": question["re"]})
        snapshot = await giving
        limit_ms = SHORT_MS if answer is None else LONG_MS
        restoring = asyncio.ensure_future(world.relay.restore(2, TXN, snapshot, limit_ms))
        asked = await taker.asked(Kind.RESTORE)
        if answer is not None:
            taker.send(answer[0], {"txn": TXN, "re": asked["re"], **answer[1]})
        with pytest.raises(RelayError) as caught:
            await restoring
        assert caught.value.fault is fault
        snapshot.close()


async def test_a_taker_that_does_not_read_its_chunks_is_given_up_in_time() -> None:
    async with srp_world() as world:
        giver = await world.join(1, "s")
        await world.join(2, "s", fds=False)
        giving = asyncio.ensure_future(world.relay.snapshot(1, TXN, LONG_MS))
        question = await giver.asked(Kind.REQUEST)
        size = 3 * CHUNK_BYTES_MAX
        part(giver, question["re"], bytes(size), bytes=size)
        giver.send(Kind.END, {"txn": TXN, "re": question["re"]})
        snapshot = await giving
        with pytest.raises(RelayError) as caught:
            await world.relay.restore(2, TXN, snapshot, SHORT_MS)
        assert caught.value.fault is RelayFault.TIMEOUT
        snapshot.close()


async def test_a_process_that_reads_nothing_is_cut_off_before_it_costs_much() -> None:
    async with srp_world() as world:
        await world.join(1)
        (peer,) = world.relay.peers(1)
        with pytest.raises(RelayError, match="does not read"):
            for _ in range(100):
                peer.send(Kind.ACK, {"text": "x" * 100_000})
        assert not world.relay.peers(1)


async def test_answers_that_nobody_asked_for_are_dropped_with_their_descriptors() -> None:
    async with srp_world() as world:
        peer = await world.join(1, "s")
        for _ in range(50):
            part(peer, 1, b"12345")
        peer.send(Kind.PING, {})
        await peer.asked(Kind.PONG)
        assert world.relay.peers(1)[0].late_count == 50


async def test_a_flood_of_answers_is_held_back_and_costs_no_memory() -> None:
    """While the relay gives to somebody who only talks, what is said waits in the kernel."""
    async with srp_world() as world:
        peer = await world.join(1, "s")
        (ours,) = world.relay.peers(1)
        async with ours.conversation(LONG_MS, "a test"):
            peer.sock.setblocking(False)
            sent = 0
            with pytest.raises(BlockingIOError):
                while True:
                    sent += peer.sock.send(encoded(Kind.CHUNK, bytes(2_000)) * 20)
                    await asyncio.to_thread(os.getpid)
            assert sent < 20 * 1024 * 1024
            assert ours._answers.qsize() < 1_000
        peer.sock.setblocking(True)
        assert world.relay.peers(1)


# --- who may connect -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hello", "fault"),
    [
        ({"generation": 1, "token": "wrong"}, "forged"),
        ({"generation": 2, "token": "token-1"}, "forged"),
        ({"generation": 1}, "garbage"),
        ({"generation": "1", "token": "token-1"}, "garbage"),
        ({"generation": 1, "token": "token-1", "parts": 5}, "garbage"),
        ({"generation": 1, "token": "token-1", "parts": [{"part": 5}]}, "garbage"),
        ({"generation": 1, "token": "token-1", "parts": [{"part": "x" * 1000}]}, "garbage"),
        ({"generation": 1, "token": "token-1", "parts": [{"part": str(n)} for n in range(1000)]}, "garbage"),
        ({"generation": 10**30, "token": "token-1"}, "forged"),
    ],
)
async def test_a_hello_that_is_wrong_is_refused(hello: dict[str, Any], fault: str) -> None:
    async with srp_world() as world:
        world.expect(1)
        stranger = world.connect()
        stranger.send(Kind.HELLO, hello)
        await stranger.wait_closed()
        assert world.told("relay.refused")[0]["fault"] == fault
        assert world.relay.peers(1) == []


async def test_a_process_that_does_not_belong_to_the_generation_is_refused_whatever_it_knows() -> None:
    async with srp_world() as world:
        world.pids.clear()
        world.expect(1)
        stranger = world.connect().hello(1, "token-1")
        await stranger.wait_closed()
        assert "does not belong to generation 1" in world.told("relay.refused")[0]["detail"]


async def test_a_process_cannot_become_another_generation() -> None:
    async with srp_world() as world:
        world.expect(2)
        peer = await world.join(1, "s")
        peer.hello(2, "token-2", "s")
        await peer.wait_closed()
        assert world.relay.peers(1) == world.relay.peers(2) == []


@pytest.mark.parametrize("kind", [Kind.PING, Kind.RESTORED, Kind.PART])
async def test_a_first_word_that_is_not_hello_does_nothing(kind: Kind) -> None:
    async with srp_world() as world:
        stranger = world.connect()
        stranger.send(kind, {})
        if kind is Kind.PING:
            await stranger.wait_closed()
            assert world.relay.refused_count == 1
        stranger.close()
        await until(lambda: not world.relay._strangers)


async def test_who_never_says_hello_is_sent_away() -> None:
    async with srp_world(greeting_ms=50) as world:
        stranger = world.connect()
        await stranger.wait_closed()
        assert world.told("relay.refused")[0]["detail"] == "it did not say who it is"


async def test_too_many_strangers_push_out_the_oldest_and_not_the_one_that_belongs_here() -> None:
    async with srp_world() as world:
        strangers = [world.connect() for _ in range(relays.STRANGERS_MAX + 20)]
        await until(lambda: world.relay.refused_count == 20)
        await world.join(1, "s")
        assert world.relay.peers(1)
        await strangers[0].wait_closed()
        # They are told of once, with their number.
        assert len(world.told("relay.refused")) == 1


async def test_a_flood_of_hellos_is_ended() -> None:
    async with srp_world() as world:
        peer = await world.join(1, "s")

        def flood() -> None:
            with pytest.raises(OSError):
                while True:
                    peer.hello(1, "token-1", "s")

        await asyncio.gather(asyncio.to_thread(flood), peer.wait_closed())
        assert "says hello too often" in world.told("relay.refused")[0]["detail"]


async def test_descriptors_that_no_frame_announces_end_the_connection() -> None:
    async with srp_world() as world:
        peer = await world.join(1, "s")
        with memory_fd() as fd:
            socket.send_fds(peer.sock, [encoded(Kind.PING, b"{}")], [fd] * 100)
        await peer.wait_closed()


async def test_a_relay_without_room_for_another_descriptor_goes_on_when_there_is_some() -> None:
    async with srp_world() as world:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = world.connect()
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_fds(), hard))
        try:
            await asyncio.wait_for(asyncio.to_thread(os.getpid), 5)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        world.expect(1)
        waiting.hello(1, "token-1", "s")
        await until(lambda: world.relay.peers(1))


class memory_fd:  # noqa: N801 - reads as what it is
    """A descriptor for the block."""

    def __enter__(self) -> int:
        self._fd = memory.create("x")
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
