"""What is told to all processes of a generation, and to those that come later, come again, or go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aeterna.handover.frames import Flags, Kind
from aeterna.supervisor.host.relay import RelayError, RelayFault
from tests.handover.srp_world import Scripted, World, srp_world, until

TXN = 3


async def play(peer: Scripted, kind: Kind, answer: Kind, **body: Any) -> dict[str, Any]:
    """Obey one order."""
    return await peer.answer(kind, answer, **body)


async def test_every_process_of_a_generation_is_told_and_waited_for() -> None:
    async with srp_world() as world:
        one, two = await world.join(1, "s"), await world.join(1)
        telling = asyncio.ensure_future(world.relay.drain(1, TXN, 250))
        assert (await play(one, Kind.DRAIN, Kind.DRAINED, inflight=2))["lame_duck_ms"] == 250
        assert not telling.done()
        await play(two, Kind.DRAIN, Kind.DRAINED, inflight=3)
        assert await telling == 5


async def test_a_generation_that_does_not_speak_srp_is_told_nothing() -> None:
    async with srp_world() as world:
        await world.relay.accept(9, TXN)
        world.expect(1)
        await world.relay.accept(1, TXN)
        with pytest.raises(RelayError) as caught:
            await world.relay.quiesce(1, TXN, 100)
        assert caught.value.fault is RelayFault.NO_PEER
        with pytest.raises(RelayError, match="has declared any state"):
            world.relay.holder(1)


async def test_a_process_that_goes_while_it_is_told_does_not_keep_the_others_from_it() -> None:
    async with srp_world() as world:
        one, two = await world.join(1), await world.join(1)
        telling = asyncio.ensure_future(world.relay.accept(1, TXN))
        await one.asked(Kind.ACCEPT)
        one.close()
        await play(two, Kind.ACCEPT, Kind.ACCEPTING)
        await telling


async def test_a_generation_whose_last_process_goes_while_it_is_told_has_not_done_it() -> None:
    async with srp_world() as world:
        one = await world.join(1)
        telling = asyncio.ensure_future(world.relay.accept(1, TXN))
        await one.asked(Kind.ACCEPT)
        one.close()
        with pytest.raises(RelayError) as caught:
            await telling
        assert caught.value.fault is RelayFault.GONE


async def test_a_worker_that_cannot_come_to_rest_ends_the_handover_at_once_for_all() -> None:
    """The others are not waited for, and can be told to go on."""
    async with srp_world() as world:
        one, two = await world.join(1, "s"), await world.join(1)
        telling = asyncio.ensure_future(world.relay.quiesce(1, TXN, 15_000))
        await two.asked(Kind.QUIESCE)
        await play(one, Kind.QUIESCE, Kind.BUSY, inflight=4)
        with pytest.raises(RelayError, match="busy: 4 requests are still under way"):
            await telling
        resuming = asyncio.ensure_future(world.relay.resume(1, TXN))
        await play(one, Kind.RESUME, Kind.RESUMED)
        await play(two, Kind.RESUME, Kind.RESUMED)
        await resuming


async def test_a_process_that_does_not_answer_is_given_up_in_time() -> None:
    async with srp_world() as world:
        await world.join(1)
        with pytest.raises(RelayError, match="timeout: quiesce took longer than 50 ms"):
            await world.relay.quiesce(1, TXN, 50)


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("standby", Kind.STANDBY),
        ("accept", Kind.ACCEPT),
        ("resume", Kind.RESUME),
    ],
)
async def test_a_process_that_comes_later_is_told_what_the_others_are(order: str, first: Kind) -> None:
    async with srp_world() as world:
        world.expect(1)
        await getattr(world.relay, order)(1, TXN)
        late = await world.join(1, gate="paused")
        assert (await late.asked(first))["txn"] == TXN


async def test_a_process_that_stands_as_it_should_is_told_nothing() -> None:
    async with srp_world() as world:
        world.expect(1)
        await world.relay.accept(1, TXN)
        await world.relay.lease(1, TXN, granted=True)
        late = await world.join(1, gate="active", lease=True)
        late.send(Kind.PING, {})
        assert (await late.receive()).kind == Kind.PONG


async def test_who_comes_to_the_generation_with_the_lease_gets_it_and_serves() -> None:
    """As after a new daemon, which only knows that this generation runs."""
    async with srp_world() as world:
        world.expect(1)
        await world.relay.lease(1, TXN, granted=True)
        late = await world.join(1, gate="paused", lease=False)
        assert (await late.asked(Kind.LEASE))["granted"] is True
        await late.asked(Kind.ACCEPT)


async def test_what_a_late_process_answers_is_not_taken_for_another_answer() -> None:
    async with srp_world() as world:
        world.expect(1)
        await world.relay.standby(1, TXN)
        late = await world.join(1, gate="active")
        told = await late.asked(Kind.STANDBY)
        telling = asyncio.ensure_future(world.relay.lease(1, TXN, granted=False))
        asked = await late.asked(Kind.LEASE)
        late.send(Kind.ACK, {"txn": TXN, "re": told["re"], "of": int(Kind.STANDBY)})
        late.send(Kind.PING, {})
        await late.asked(Kind.PONG)
        assert not telling.done()
        late.send(Kind.ACK, {"txn": TXN, "re": asked["re"]})
        await telling


async def test_a_process_whose_connection_broke_is_waited_for() -> None:
    async with srp_world() as world:
        one = await world.join(1)
        one.close()
        await until(lambda: not world.relay.peers(1))
        assert world.relay.speakers(1) == 1
        telling = asyncio.ensure_future(world.relay.resume(1, TXN))
        again = await world.join(1, gate="paused")
        # It is told as one that comes later, and again as one that was waited for.
        for _ in range(2):
            await play(again, Kind.RESUME, Kind.RESUMED)
        await telling


async def test_a_process_that_does_not_come_again_is_given_up() -> None:
    async with srp_world() as world:
        world.expect(1, speakers=1)
        with pytest.raises(RelayError, match="no process of generation 1 is there any more"):
            await world.relay.resume(1, TXN)
        assert world.relay.speakers(1) == 0
        await world.relay.resume(1, TXN)


async def test_several_processes_with_state_are_told_of_and_the_first_ones_moves() -> None:
    async with srp_world() as world:
        await world.join(1)
        first, second = await world.join(1, "s"), await world.join(1, "s")
        assert world.told("relay.divided") == [
            {"generation": 1, "moves": world.relay.holder(1).pid, "stay": [first_pid(world)]}
        ]
        giving = asyncio.ensure_future(world.relay.snapshot(1, TXN, 5_000))
        await first.answer(Kind.REQUEST, Kind.END)
        (await giving).close()
        await world.join(1, "s")
        assert len(world.told("relay.divided")) == 1
        second.close()


def first_pid(world: World) -> int:
    return world.relay.peers(1)[0].pid


async def test_a_process_that_ends_is_told_of_and_forgotten() -> None:
    async with srp_world() as world:
        one = await world.join(1, "s")
        assert world.told("relay.hello")[0]["parts"] == ["s"]
        one.close()
        await until(lambda: world.told("relay.gone"))
        assert world.relay.peers(1) == []


async def test_a_generation_that_is_forgotten_is_cut_off() -> None:
    async with srp_world() as world:
        one = await world.join(1)
        world.relay.forget(1)
        await one.wait_closed()
        world.relay.forget(1)
        stranger = world.connect().hello(1, "token-1")
        await stranger.wait_closed()
        assert world.told("relay.refused")[0]["fault"] == "forged"


async def test_progress_reports_are_passed_on_and_unknown_optional_frames_ignored() -> None:
    async with srp_world() as world:
        one = await world.join(1)
        one.channel.send(Kind.STATUS, {"part": "s", "checked": 5}, flags=Flags.OPTIONAL)
        one.send_raw(b"\x00\x00\x00\x08\xae\x7e\x20\x24\x01\x99\x00\x01")
        await until(lambda: world.told("relay.progress"))
        assert world.told("relay.progress") == [{"generation": 1, "part": "s", "checked": 5}]
        assert world.relay.peers(1)


async def test_a_conversation_that_is_given_up_leaves_the_way_free_for_the_next() -> None:
    """As when the blackout timer overrides a snapshot: the resumption does not wait for anything."""
    async with srp_world() as world:
        one = await world.join(1, "s")
        moving = asyncio.ensure_future(world.relay.snapshot(1, TXN, 15_000))
        asked = await one.asked(Kind.REQUEST)
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving
        resuming = asyncio.ensure_future(world.relay.resume(1, TXN))
        question = await one.asked(Kind.RESUME)
        one.send(Kind.END, {"txn": TXN, "re": asked["re"]})
        one.send(Kind.RESUMED, {"txn": TXN, "re": question["re"]})
        await resuming


async def test_a_generation_retires_with_one_question_and_says_so_when_its_hooks_are_done() -> None:
    async with srp_world() as world:
        one = await world.join(1, "s")
        retiring = asyncio.ensure_future(world.relay.retire(1, TXN))
        standby = await one.asked(Kind.STANDBY)
        lease = await one.asked(Kind.LEASE)
        assert (standby["re"], lease["granted"]) == (0, False)
        one.send(Kind.ACK, {"txn": TXN, "re": 0, "of": int(Kind.STANDBY)})
        one.send(Kind.PING, {})
        await one.asked(Kind.PONG)
        assert not retiring.done()
        one.send(Kind.ACK, {"txn": TXN, "re": lease["re"], "of": int(Kind.LEASE)})
        await retiring
        late = await world.join(1, gate="active", lease=True)
        await late.asked(Kind.LEASE)
        await late.asked(Kind.STANDBY)


async def test_that_the_lease_is_given_is_not_waited_for() -> None:
    """The answer to what follows says that it was obeyed."""
    async with srp_world() as world:
        one = await world.join(1, "s")
        await world.relay.lease(1, TXN, granted=True)
        accepting = asyncio.ensure_future(world.relay.accept(1, TXN))
        lease = await one.asked(Kind.LEASE)
        accept = await one.asked(Kind.ACCEPT)
        one.send(Kind.ACK, {"txn": TXN, "re": lease["re"]})
        one.send(Kind.ACCEPTING, {"txn": TXN, "re": accept["re"]})
        await accepting


async def test_who_is_ready_before_it_has_said_hello_is_waited_for() -> None:
    async with srp_world() as world:
        waiting = asyncio.ensure_future(world.relay.wait_holder(1))
        await world.join(1)
        assert not waiting.done()
        peer = world.connect().hello(1, "token-1", "s")
        assert (await waiting).parts.keys() == {"s"}
        peer.close()
        with pytest.raises(RelayError, match="has declared any state"):
            await world.relay.wait_holder(2)
