"""Real processes that are killed or stopped at each stage of a handover: it fails in time, and the other one serves.

Each process does it to itself, in a hook of the stage, so that the moment is exact.
"""

from __future__ import annotations

import asyncio
import signal

import pytest

from aeterna.supervisor.host.relay import RelayError, RelayFault
from tests.handover.srp_world import Process, World, hand_over, srp_world, until

TXN, SHORT_MS, LONG_MS = 1, 300, 15_000
PLAIN = "state = handover.state('s', default=dict); state['a'] = 1"
CUSTOM = """
class State: pass
held = State(); held.n = {n}
def dump(value):
    {dump}
    return str(value.n).encode()
def load(value, data):
    {load}
    value.n = int(data)
handover.state('s', default=lambda: held, dump=dump, load=load)
{more}
"""
# To the thread itself: what is sent to the process may reach another thread, and this one goes on for a moment.
KILL, STOP = "signal.raise_signal(signal.SIGKILL)", "signal.raise_signal(signal.SIGSTOP)"
HOOK = "handover.on_{hook}(lambda: {deed})"
TURN = "handover.gate().add_listener(lambda change: {deed} if change.role == '{role}' else None)"


def custom(n: int, *, dump: str = "pass", load: str = "pass", more: str = "") -> str:
    return CUSTOM.format(n=n, dump=dump, load=load, more=more)


def fault_of(deed: str) -> tuple[RelayFault, int]:
    """A dead process shows at once, a stopped one when the time is over."""
    return (RelayFault.GONE, LONG_MS) if deed == KILL else (RelayFault.TIMEOUT, SHORT_MS)


async def serves(world: World, process: Process, expression: str, value: object) -> None:
    """The process can be told to serve, and has what it should have."""
    generation = process.generation
    await world.relay.lease(generation, TXN, granted=True)
    await world.relay.resume(generation, TXN)
    await world.up(process)
    assert await process.ask(f"(handover.gate().role.value, handover.has_lease(), {expression})") == (
        "active",
        True,
        value,
    )


@pytest.mark.parametrize("deed", [KILL, STOP])
async def test_the_old_one_at_the_quiesce(deed: str) -> None:
    async with srp_world() as world:
        await world.start(1, f"{PLAIN}; {HOOK.format(hook='quiesce', deed=deed)}")
        fault, limit_ms = fault_of(deed)
        with pytest.raises(RelayError) as caught:
            await world.relay.quiesce(1, TXN, limit_ms)
        assert caught.value.fault is fault


async def test_the_old_one_is_only_slow_at_the_quiesce_and_goes_on_when_it_is_told() -> None:
    """It hangs in its hook, and serves again all the same."""
    async with srp_world() as world:
        old = await world.start(1, f"import threading; {PLAIN}; handover.on_quiesce(threading.Event().wait)")
        with pytest.raises(RelayError, match="timeout"):
            await world.relay.quiesce(1, TXN, SHORT_MS)
        await serves(world, old, "state", {"a": 1})


@pytest.mark.parametrize("deed", [KILL, STOP])
async def test_the_old_one_at_its_dump(deed: str) -> None:
    async with srp_world() as world:
        await world.start(1, custom(5, dump=deed))
        new = await world.start(2, custom(0))
        await world.relay.quiesce(1, TXN, LONG_MS)
        fault, limit_ms = fault_of(deed)
        with pytest.raises(RelayError) as caught:
            await world.relay.snapshot(1, TXN, limit_ms, forward_to=2)
        assert caught.value.fault is fault
        await serves(world, new, "held.n", 0)


async def test_the_old_one_is_only_slow_at_its_dump_and_goes_on_when_it_is_told() -> None:
    async with srp_world() as world:
        old = await world.start(1, custom(5, dump="import threading; threading.Event().wait()"))
        await world.relay.quiesce(1, TXN, LONG_MS)
        with pytest.raises(RelayError, match="timeout"):
            await world.relay.snapshot(1, TXN, SHORT_MS)
        await serves(world, old, "held.n", 5)


@pytest.mark.parametrize("deed", [KILL, STOP])
async def test_the_new_one_at_its_load(deed: str) -> None:
    async with srp_world() as world:
        old = await world.start(1, custom(5))
        await world.start(2, custom(0, load=deed))
        await world.relay.quiesce(1, TXN, LONG_MS)
        snapshot = await world.relay.snapshot(1, TXN, LONG_MS, forward_to=2)
        fault, limit_ms = fault_of(deed)
        with pytest.raises(RelayError) as caught:
            await world.relay.restore(2, TXN, snapshot, limit_ms)
        snapshot.close()
        assert caught.value.fault is fault
        await serves(world, old, "held.n", 5)


@pytest.mark.parametrize("deed", [KILL, STOP])
async def test_the_new_one_when_it_is_to_serve(deed: str) -> None:
    async with srp_world() as world:
        old = await world.start(1, PLAIN)
        await world.start(2, f"{PLAIN}; {TURN.format(deed=deed, role='active')}")
        with pytest.raises(RelayError) as caught:
            await hand_over(world, 1, 2)
        assert caught.value.fault is fault_of(deed)[0]
        await serves(world, old, "state", {"a": 1})


@pytest.mark.parametrize("deed", [KILL, STOP])
async def test_the_old_one_when_it_is_to_stand_by(deed: str) -> None:
    async with srp_world() as world:
        await world.start(1, f"{PLAIN}; {TURN.format(deed=deed, role='standby')}")
        new = await world.start(2, PLAIN.replace("1", "2"))
        with pytest.raises(RelayError) as caught:
            await hand_over(world, 1, 2)
        assert caught.value.fault is fault_of(deed)[0]
        await serves(world, new, "state", {"a": 1})


@pytest.mark.parametrize("deed", [KILL, STOP])
async def test_the_old_one_after_its_snapshot_is_complete(deed: str) -> None:
    """The state is safe: the new one takes it over all the same."""
    async with srp_world() as world:
        old = await world.start(1, custom(5))
        new = await world.start(2, custom(0))
        await world.relay.quiesce(1, TXN, LONG_MS)
        snapshot = await world.relay.snapshot(1, TXN, LONG_MS, forward_to=2)
        old.send_signal(signal.SIGKILL if deed == KILL else signal.SIGSTOP)
        await world.relay.restore(2, TXN, snapshot, LONG_MS)
        snapshot.close()
        await serves(world, new, "held.n", 5)


@pytest.mark.parametrize("deed", [KILL, STOP])
async def test_the_new_one_while_the_buffer_is_passed_ahead(deed: str) -> None:
    async with srp_world() as world:
        code = "b = handover.buffer('b', 10_000)"
        old = await world.start(1, f"{code}; b.view[0] = 5")
        new = await world.start(2, code)
        await world.up(new)
        new.send_signal(signal.SIGKILL if deed == KILL else signal.SIGSTOP)
        if deed == KILL:
            await until(lambda: not world.relay.peers(2))
        with pytest.raises(RelayError) as caught:
            await world.relay.precopy(1, 2, TXN, SHORT_MS)
        assert caught.value.fault is (RelayFault.NO_PEER if deed == KILL else RelayFault.TIMEOUT)
        await serves(world, old, "b.view[0]", 5)


async def test_the_supervisor_dies_in_every_moment_and_the_next_one_finds_the_process_as_it_was() -> None:
    """Another relay at the same path: the process connects, and is told what it should be."""
    async with srp_world() as world:
        # Its hook never ends, so that each quiesce is still under way when the supervisor dies.
        old = await world.start(1, f"import threading; {PLAIN}; handover.on_quiesce(threading.Event().wait)")
        await world.up(old)
        for round_ in range(3):
            telling = asyncio.ensure_future(world.relay.quiesce(1, TXN, LONG_MS))
            if round_:
                await until(world.relay.peers(1)[0]._is_asking.locked)
            world.relay.close()
            with pytest.raises(RelayError):
                await telling
            world.open_relay()
            world.expect(1, speakers=1)
            await world.relay.resume(1, TXN)
            assert await old.ask("(handover.gate().role.value, state)") == ("active", {"a": 1})
