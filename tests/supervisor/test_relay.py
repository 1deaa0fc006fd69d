"""The relay with real processes of two generations: their memory and their roles move from one to the other."""

from __future__ import annotations

import asyncio
import os

import pytest

from aeterna.handover import memory
from aeterna.supervisor.host.bind_error import BindError
from aeterna.supervisor.host.relay import Relay, RelayError, RelayFault, adopt_relay_socket, open_relay_socket
from aeterna.supervisor.host.snapshots import Snapshot
from tests.handover.srp_world import hand_over, srp_world, until

TXN, LIMIT_MS = 1, 15_000
DICT = "state = handover.state('sessions', default=dict)"
BUFFER = "buffer = handover.buffer('vectors', 100_000)"
ARRAY = "array = handover.array('vectors', (50, 20), 'float32'); rows = array[3:5]"


async def test_a_state_moves_and_so_do_the_roles_and_the_lease() -> None:
    async with srp_world() as world:
        old = await world.start(1, f"{DICT}; state['a'] = [1, {{'b': None}}]")
        new = await world.start(2, DICT)
        await world.up(old)
        await world.up(new)
        assert await new.ask("(handover.gate().role.value, handover.has_lease(), state)") == ("paused", False, {})
        await hand_over(world, 1, 2)
        assert await new.ask("(handover.gate().role.value, handover.has_lease())") == ("active", True)
        assert await new.ask("state") == {"a": [1, {"b": None}]}
        assert await old.ask("(handover.gate().role.value, handover.has_lease(), state)") == (
            "standby",
            False,
            {"a": [1, {"b": None}]},
        )


async def test_a_state_moves_through_many_generations() -> None:
    async with srp_world() as world:
        running = await world.start(1, f"{DICT}; {ARRAY}; state['n'] = 0")
        await world.up(running)
        for generation in (2, 3, 4):
            await running.ask("state.update(n=state['n'] + 1); array.__iadd__(1)")
            following = await world.start(generation, f"{DICT}; {ARRAY}")
            await world.up(following)
            await hand_over(world, generation - 1, generation, txn=generation)
            world.relay.forget(generation - 1)
            running.end()
            running = following
        assert await running.ask("(state, float(array.sum()), float(rows[0, 0]))") == ({"n": 3}, 3000.0, 3.0)


async def test_views_of_an_array_stay_valid_and_show_what_arrived() -> None:
    """The very objects that were made before the handover, and nothing was copied: it is one memory."""
    async with srp_world() as world:
        old = await world.start(1, f"{ARRAY}; array[:] = 7; array[3] = 9")
        new = await world.start(2, ARRAY)
        await world.up(old)
        await world.up(new)
        address = await new.ask("(array.ctypes.data, rows.ctypes.data)")
        await hand_over(world, 1, 2)
        assert await new.ask("(float(array[0, 0]), rows.tolist()[0][:2], float(rows[1, 0]))") == (7.0, [9.0, 9.0], 7.0)
        assert await new.ask("(array.ctypes.data, rows.ctypes.data)") == address
        await new.ask("rows.__iadd__(1).size")
        assert await old.ask("float(array[3, 0])") == 10.0


async def test_a_buffer_is_passed_ahead_and_can_only_be_read_until_it_is_taken() -> None:
    async with srp_world() as world:
        old = await world.start(1, f"{BUFFER}; buffer.view[:3] = b'old'")
        new = await world.start(2, BUFFER)
        assert await world.relay.precopy(1, 2, TXN, LIMIT_MS) == {"vectors"}
        await world.up(old)
        await world.up(new)
        assert await new.ask("bytes(buffer.view[:3])") == b"old"
        # It goes on changing, and the new one sees that.
        await old.ask("buffer.view.__setitem__(0, 79)")
        assert await new.ask("bytes(buffer.view[:3])") == b"Old"
        await new.ask("import faulthandler; faulthandler.disable()")
        new.process.stdin.write("buffer.view.__setitem__(0, 1)\n")
        new.process.stdin.flush()
        assert await asyncio.to_thread(new.process.wait, 10) == -11
        assert await old.ask("bytes(buffer.view[:3])") == b"Old"


async def test_a_candidate_that_serves_without_the_state_has_its_own_buffer() -> None:
    """It was passed ahead, and then the handover went on without: nobody writes to the other's memory."""
    async with srp_world() as world:
        old = await world.start(1, f"{BUFFER}; buffer.view[:3] = b'old'")
        new = await world.start(2, f"{BUFFER}; buffer.view[:3] = b'new'")
        await world.relay.precopy(1, 2, TXN, LIMIT_MS)
        await world.relay.accept(2, TXN)
        await world.up(old)
        await world.up(new)
        await new.ask("buffer.view.__setitem__(0, 78)")
        assert await new.ask("bytes(buffer.view[:3])") == b"New"
        assert await old.ask("bytes(buffer.view[:3])") == b"old"


async def test_a_snapshot_outlives_both_and_another_daemon_can_give_it() -> None:
    async with srp_world() as world:
        old = await world.start(1, f"{DICT}; {BUFFER}; state['a'] = 1; buffer.view[:3] = b'abc'")
        await world.relay.quiesce(1, TXN, LIMIT_MS)
        snapshot = await world.relay.snapshot(1, TXN, LIMIT_MS)
        manifest, fds = snapshot.manifest(), {name: os.dup(fd) for name, fd in snapshot.fds().items()}
        assert snapshot.size == len(b'{"a":1}') + 100_000
        snapshot.close()
        snapshot.close()
        old.end()
        adopted = Snapshot.adopt(manifest, fds)
        # What it was before its owner died need not be what it is now.
        os.pwrite(adopted.parts["vectors"].fd, b"later", 0)
        adopted.was_left()
        new = await world.start(2, f"{DICT}; {BUFFER}")
        await world.up(new)
        assert await world.relay.restore(2, TXN, adopted, LIMIT_MS) == ()
        adopted.close()
        assert await new.ask("(state, bytes(buffer.view[:5]))") == ({"a": 1}, b"later")


async def test_a_part_whose_memory_was_not_kept_is_left_out_of_a_snapshot() -> None:
    manifest = {"generation": 1, "algorithm": "sha256", "parts": [{"part": "lost"}]}
    assert Snapshot.adopt(manifest, {}).parts == {}


async def test_parts_that_the_new_code_does_not_declare_are_dropped_and_named() -> None:
    async with srp_world() as world:
        await world.start(1, f"{DICT}; handover.state('gone', default=list)")
        new = await world.start(2, f"{DICT}; handover.state('fresh', default=set)")
        snapshot = await world.relay.snapshot(1, TXN, LIMIT_MS, forward_to=2)
        assert await world.relay.restore(2, TXN, snapshot, LIMIT_MS) == ("gone",)
        snapshot.close()
        await world.up(new)
        assert await new.ask("state") == {}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("handover.state('sessions', default=dict, version=2)", "has version 1; this code takes [2]"),
        ("handover.state('sessions', default=dict, codec='msgpack')", "is encoded as json; this code takes msgpack"),
        ("handover.state('sessions', default=list)", "a dict cannot be filled into a list"),
        ("handover.buffer('sessions', 10)", "it has 7 bytes, and this code declares 10|is encoded as json"),
        (
            "handover.state('sessions', default=object, codec='json', dump=repr, load=lambda o, d: o.nothing)",
            "part 'sessions': AttributeError: 'object' object has no attribute 'nothing'",
        ),
    ],
)
async def test_a_new_version_that_cannot_take_the_state_says_why_and_the_old_one_goes_on(code: str, words: str) -> None:
    async with srp_world() as world:
        old = await world.start(1, f"{DICT}; state['a'] = 1")
        await world.start(2, code)
        await world.relay.quiesce(1, TXN, LIMIT_MS)
        snapshot = await world.relay.snapshot(1, TXN, LIMIT_MS, forward_to=2)
        with pytest.raises(RelayError) as caught:
            await world.relay.restore(2, TXN, snapshot, LIMIT_MS)
        snapshot.close()
        assert caught.value.fault is RelayFault.REFUSED
        assert any(each in str(caught.value) for each in words.split("|"))
        await world.relay.resume(1, TXN)
        await world.up(old)
        assert await old.ask("(handover.gate().role.value, state)") == ("active", {"a": 1})


async def test_a_dump_that_raises_is_refused_and_the_old_one_goes_on() -> None:
    async with srp_world() as world:
        old = await world.start(1, f"{DICT}; state['a'] = object()")
        await world.start(2, DICT)
        await world.relay.quiesce(1, TXN, LIMIT_MS)
        with pytest.raises(RelayError, match="refused: part 'sessions': TypeError"):
            await world.relay.snapshot(1, TXN, LIMIT_MS, forward_to=2)
        await world.relay.resume(1, TXN)
        await world.up(old)
        assert await old.ask("handover.gate().role.value") == "active"


async def test_a_digest_that_is_not_the_givers_is_refused() -> None:
    async with srp_world() as world:
        await world.start(1, DICT)
        new = await world.start(2, f"{DICT}; state['kept'] = 1")
        snapshot = await world.relay.snapshot(1, TXN, LIMIT_MS, forward_to=2)
        snapshot.parts["sessions"].digest = "0" * 32
        with pytest.raises(RelayError, match=r"has digest .*, its sender says 000"):
            await world.relay.restore(2, TXN, snapshot, LIMIT_MS)
        snapshot.close()
        await world.up(new)
        assert await new.ask("state") == {"kept": 1}


async def test_sha256_is_used_if_asked_for() -> None:
    async with srp_world(algorithm="sha256") as world:
        await world.start(1, DICT)
        await world.start(2, DICT)
        snapshot = await world.relay.snapshot(1, TXN, LIMIT_MS, forward_to=2)
        await world.relay.restore(2, TXN, snapshot, LIMIT_MS)
        assert snapshot.digests == {"sessions": memory.digest(b"{}", "sha256")}
        snapshot.close()


async def test_a_state_over_the_limit_is_refused() -> None:
    async with srp_world(bytes_max=10) as world:
        await world.start(1, f"{DICT}; state['a'] = 'x' * 10")
        with pytest.raises(RelayError) as caught:
            await world.relay.snapshot(1, TXN, LIMIT_MS)
        assert caught.value.fault is RelayFault.TOO_BIG


async def test_the_state_of_the_new_one_can_be_given_back() -> None:
    """A rollback with ``reverse``: values are moved back, and a buffer is the old one's own again."""
    async with srp_world() as world:
        old = await world.start(1, f"{DICT}; {BUFFER}; state['n'] = 1")
        new = await world.start(2, f"{DICT}; {BUFFER}")
        await hand_over(world, 1, 2)
        await world.up(old)
        await world.up(new)
        await new.ask("state.update(n=2); buffer.view.__setitem__(slice(0, 3), b'two')")
        relay = world.relay
        await relay.quiesce(2, TXN, LIMIT_MS)
        snapshot = await relay.snapshot(2, TXN, LIMIT_MS, forward_to=1)
        await relay.restore(1, TXN, snapshot, LIMIT_MS)
        snapshot.close()
        await relay.standby(2, TXN)
        await relay.lease(2, TXN, granted=False)
        await relay.lease(1, TXN, granted=True)
        await relay.resume(1, TXN)
        assert await old.ask("(state, bytes(buffer.view[:3]), handover.has_lease())") == ({"n": 2}, b"two", True)
        await old.ask("buffer.view.__setitem__(0, 84)")
        assert await old.ask("handover.gate().role.value") == "active"


async def test_both_generations_of_a_shared_state_write_while_it_moves() -> None:
    async with srp_world() as world:
        code = f"{DICT}; {BUFFER}; state['a'] = 1"
        await world.start(1, code, AETERNA_STATE_MODE="shared")
        new = await world.start(2, f"{DICT}; {BUFFER}", AETERNA_STATE_MODE="shared")
        snapshot = await world.relay.snapshot(1, TXN, LIMIT_MS, forward_to=2)
        assert snapshot.digests["vectors"] == ""
        await world.relay.restore(2, TXN, snapshot, LIMIT_MS)
        snapshot.close()
        await world.up(new)
        assert await new.ask("state") == {"a": 1}


async def test_a_state_of_a_hundred_mebibytes_is_reported_on_its_way() -> None:
    async with srp_world() as world:
        code = "b = handover.buffer('b', 100 * 2**20)"
        await world.start(1, code)
        await world.start(2, code)
        await hand_over(world, 1, 2)
        assert {"generation": 2, "part": "b", "checked": 100 * 2**20} in world.told("relay.progress")


async def test_a_restore_finds_a_process_that_has_connected_again_with_nothing() -> None:
    """What was forwarded is lost with the connection, and is sent anew."""
    async with srp_world() as world:
        await world.start(1, f"{DICT}; state['a'] = 1")
        new = await world.start(2, DICT)
        snapshot = await world.relay.snapshot(1, TXN, LIMIT_MS, forward_to=2)
        world.relay.peers(2)[0].close()
        await until(lambda: world.relay.peers(2))
        await world.relay.restore(2, TXN, snapshot, LIMIT_MS)
        snapshot.close()
        await world.up(new)
        assert await new.ask("state") == {"a": 1}


# --- the socket ------------------------------------------------------------------------------------------------------


async def test_the_socket_is_private_and_another_daemon_can_adopt_it() -> None:
    async with srp_world() as world:
        assert world.path.stat().st_mode & 0o777 == 0o600
        kept = os.dup(world.relay._listening.fileno())
        process = await world.start(1, DICT)
        world.relay.close()
        world.relay.close()
        world.relay = Relay(adopt_relay_socket(kept), world._limits, lambda *_: None)
        world.expect(1, speakers=1)
        # Nobody has connected yet, and is waited for.
        await world.relay.standby(1, TXN)
        await world.up(process)
        assert await process.ask("handover.gate().role.value") == "standby"


async def test_a_path_that_somebody_uses_is_refused() -> None:
    async with srp_world() as world:
        with pytest.raises(BindError, match="in use"):
            open_relay_socket(world.path)
        file = world.directory / "file"
        file.write_text("precious")
        with pytest.raises(BindError, match="no socket"):
            open_relay_socket(file)
