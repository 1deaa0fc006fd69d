"""Processes in Node move their memory, in chunks: among themselves, and to and from Python."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from aeterna.handover.frames import CHUNK_BYTES_MAX, Kind
from aeterna.supervisor.host.relay import RelayError, RelayFault
from tests.handover.srp_world import Process, World, hand_over, srp_world, until

NODE = ("node", str(Path(__file__).with_name("node_client.js")))
PYTHON = "sessions = handover.state('sessions', default=dict); blob = handover.state('blob', default=bytearray)"
TXN, LIMIT_MS = 1, 15_000
MIB = 1024 * 1024
STATE = {"alice": [1, {"b": None}], "Zoë": "grüß"}


async def node(world: World, generation: int, **env: str) -> Process:
    process = await world.start(generation, "", argv=NODE, **env)
    await world.up(process)
    return process


async def python(world: World, generation: int, more: str = "") -> Process:
    process = await world.start(generation, f"{PYTHON}; {more}")
    await world.up(process)
    return process


async def run(process: Process, expression: str) -> Any:
    """Evaluate it in Node."""
    return json.loads(await process.ask(expression))


@pytest.mark.parametrize("algorithm", ["xxh3-128", "sha256"])
async def test_memory_moves_from_node_to_node_and_so_do_the_roles(algorithm: str) -> None:
    """With SHA-256 both ends check it; XXH3 is not in Node, so the supervisor computes it."""
    async with srp_world(algorithm=algorithm) as world:
        old, new = await node(world, 1), await node(world, 2)
        await run(old, f"sessions = {json.dumps(STATE)}; blob = Buffer.alloc(3 * {MIB} + 5, 7); 0")
        assert await run(new, "[client.role, client.hasLease, sessions]") == ["paused", False, {}]
        await hand_over(world, 1, 2)
        assert await run(new, "[client.role, client.hasLease, sessions]") == ["active", True, STATE]
        assert await run(new, "[blob.length, blob.every((byte) => byte === 7)]") == [3 * MIB + 5, True]
        assert await run(old, "[client.role, client.hasLease, sessions]") == ["standby", False, STATE]


async def test_memory_moves_from_node_to_python_and_back() -> None:
    async with srp_world() as world:
        first = await node(world, 1)
        await run(first, f"sessions = {json.dumps(STATE)}; blob = Buffer.from('abc'); 0")
        second = await python(world, 2)
        await hand_over(world, 1, 2)
        assert await second.ask("(sessions, bytes(blob))") == (STATE, b"abc")
        await second.ask("sessions.update(bob=2); blob.extend(bytes(2_500_000))")
        third = await node(world, 3)
        await hand_over(world, 2, 3, txn=2)
        assert await run(third, "[sessions, blob.length]") == [{**STATE, "bob": 2}, 2_500_003]


async def test_the_changes_of_the_new_one_can_be_given_back() -> None:
    async with srp_world() as world:
        old, new = await node(world, 1), await node(world, 2)
        await run(old, "sessions = {n: 1}; 0")
        await hand_over(world, 1, 2)
        await run(new, "sessions.n += 1; 0")
        await hand_over(world, 2, 1, txn=TXN)
        assert await run(old, "[client.role, client.hasLease, sessions]") == ["active", True, {"n": 2}]


async def test_a_state_that_cannot_be_loaded_is_refused_and_the_old_one_goes_on() -> None:
    async with srp_world() as world:
        old, new = await python(world, 1, "sessions['a'] = 1"), await node(world, 2)
        await run(new, "client.parts.sessions.version = 2; 0")
        with pytest.raises(RelayError, match="is json/1, this code takes json/2") as caught:
            await hand_over(world, 1, 2)
        assert caught.value.fault is RelayFault.REFUSED
        await world.relay.resume(1, TXN)
        assert await old.ask("(handover.gate().role.value, sessions)") == ("active", {"a": 1})
        assert await run(new, "sessions") == {}


async def test_a_dump_that_throws_is_refused() -> None:
    async with srp_world() as world:
        old = await node(world, 1)
        await run(old, "client.parts.blob.dump = () => { throw new Error('out of paper'); }; 0")
        with pytest.raises(RelayError, match="out of paper"):
            await world.relay.snapshot(1, TXN, LIMIT_MS)


async def test_a_process_connects_again_to_another_supervisor_and_says_how_it_stands() -> None:
    async with srp_world() as world:
        process = await node(world, 1)
        await world.relay.standby(1, TXN)
        world.relay.close()
        world.open_relay()
        world.expect(1, speakers=1)
        await world.relay.resume(1, TXN)
        assert await run(process, "client.role") == "active"
        (peer,) = world.relay.peers(1)
        assert peer.hello is not None
        assert (peer.hello.gate, peer.hello.lease) == ("standby", True)


async def test_a_state_that_is_too_big_does_not_keep_its_process_from_serving_again() -> None:
    """It is in the middle of its chunks when it is told to go on."""
    async with srp_world(bytes_max=4 * MIB) as world:
        process = await node(world, 1)
        await run(process, f"blob = Buffer.alloc(64 * {MIB}); client.parts.blob.version = 1; 0")
        await world.relay.quiesce(1, TXN, LIMIT_MS)
        with pytest.raises(RelayError) as caught:
            await world.relay.snapshot(1, TXN, LIMIT_MS)
        assert caught.value.fault is RelayFault.TOO_BIG
        await world.relay.resume(1, TXN)
        assert await run(process, "client.role") == "active"
        await run(process, "blob = Buffer.from('small'); 0")
        await world.relay.quiesce(1, TXN + 1, LIMIT_MS)
        snapshot = await world.relay.snapshot(1, TXN + 1, LIMIT_MS)
        assert snapshot.parts["blob"].size == 5
        snapshot.close()


async def test_what_is_on_its_way_when_a_transfer_is_given_up_spoils_nothing_that_follows() -> None:
    async with srp_world() as world:
        giver = await world.join(1, "s", fds=False)
        asking = asyncio.ensure_future(world.relay.snapshot(1, TXN, 100))
        question = await giver.asked(Kind.REQUEST)
        manifest = {"part": "s", "bytes": 3 * CHUNK_BYTES_MAX, "chunks": True, "txn": TXN, "re": question["re"]}
        giver.send(Kind.PART, manifest)
        giver.channel.send_bytes(Kind.CHUNK, b"first")
        with pytest.raises(RelayError, match="timeout"):
            await asking
        resuming = asyncio.ensure_future(world.relay.resume(1, TXN))
        resume = await giver.asked(Kind.RESUME)
        for kind in (Kind.CHUNK, Kind.STATE_JSON, Kind.STATE_BINARY):
            giver.channel.send_bytes(kind, b"{}")
        giver.send(Kind.END, {"txn": TXN, "re": question["re"]})
        giver.send(Kind.RESUMED, {"txn": TXN, "re": resume["re"]})
        await resuming
        (peer,) = world.relay.peers(1)
        await until(lambda: peer.late_count == 4)
