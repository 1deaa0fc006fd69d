"""The gate: no request slips through while somebody believes that nothing is under way."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from aeterna.handover.gate import Gate, GateChange, ServingRole, first_role

LONG_MS = 20_000


def test_a_pause_of_an_idle_gate_returns_at_once() -> None:
    gate = Gate()
    assert gate.pause(LONG_MS) == 0
    assert gate.role is ServingRole.PAUSED


def test_a_pause_waits_for_the_request_under_way_and_no_longer() -> None:
    gate = Gate()
    gate.enter()
    with ThreadPoolExecutor(1) as pool:
        paused = pool.submit(gate.pause, LONG_MS)
        while gate.role is not ServingRole.PAUSED:
            pass
        assert not paused.done()
        gate.leave()
        assert paused.result(10) == 0


def test_a_pause_that_takes_too_long_tells_how_many_are_left() -> None:
    gate = Gate()
    gate.enter()
    gate.enter()
    assert gate.pause(5) == 2
    assert gate.role is ServingRole.PAUSED


def test_who_waits_for_rest_is_told_at_once_that_it_is_off() -> None:
    """RESUME while a request is under way: whoever pauses does not wait for its deadline."""
    gate = Gate()
    gate.enter()
    with ThreadPoolExecutor(1) as pool:
        paused = pool.submit(gate.pause, LONG_MS)
        while gate.role is not ServingRole.PAUSED:
            pass
        gate.resume()
        assert paused.result(10) == 1


def test_no_request_runs_between_the_pause_and_the_resumption() -> None:
    """The rule: enter, then look; turn, then count. Threads that serve, and one that turns the gate 300 times."""
    gate, running, seen = Gate(), [0], []
    lock, is_over = threading.Lock(), threading.Event()

    def serve() -> None:
        while not is_over.is_set():
            with gate.entered() as role:
                if role is ServingRole.ACTIVE:
                    with lock:
                        running[0] += 1
                    with lock:
                        running[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        servers = [pool.submit(serve) for _ in range(4)]
        try:
            for _ in range(300):
                left = gate.pause(LONG_MS)
                seen.append((left, running[0]))
                gate.activate()
        finally:
            is_over.set()
        for server in servers:
            server.result()
    assert set(seen) == {(0, 0)}


def test_the_gate_counts_requests_of_many_threads() -> None:
    gate = Gate()

    def many() -> None:
        for _ in range(2_000):
            with gate.entered():
                pass

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(many) for _ in range(4)]:
            done.result()
    assert gate.inflight == 0


def test_a_request_leaves_when_it_fails() -> None:
    gate = Gate()
    with pytest.raises(RuntimeError), gate.entered():
        assert gate.inflight == 1
        raise RuntimeError
    assert gate.inflight == 0


def test_listeners_hear_of_changes_and_of_nothing_else() -> None:
    gate, heard = Gate(), list[GateChange]()
    gate.add_listener(heard.append)
    gate.activate()
    gate.pause(0)
    gate.pause(0)
    gate.standby()
    gate.start_drain(250)
    gate.resume()
    roles = [(change.role, change.draining) for change in heard]
    assert roles == [
        (ServingRole.PAUSED, False),
        (ServingRole.STANDBY, False),
        (ServingRole.STANDBY, True),
        (ServingRole.ACTIVE, False),
    ]
    assert heard[2].lame_duck_ms == 250


def test_an_activation_ends_no_drain_and_a_resumption_does() -> None:
    gate = Gate()
    gate.start_drain(1)
    gate.activate()
    assert gate.draining
    gate.resume()
    assert not gate.draining


def test_a_forked_child_has_no_requests_and_counts_its_own() -> None:
    gate = Gate()
    gate.enter()
    gate.forked()
    assert gate.inflight == 0
    gate.leave()
    assert gate.inflight == 0
    gate.enter()
    assert gate.pause(1) == 1


@pytest.mark.parametrize(
    ("role", "mode", "first"),
    [
        ("candidate", "exclusive", ServingRole.PAUSED),
        ("candidate", "shared", ServingRole.ACTIVE),
        ("candidate", "none", ServingRole.ACTIVE),
        ("active", "exclusive", ServingRole.ACTIVE),
        (None, None, ServingRole.ACTIVE),
    ],
)
def test_only_who_waits_for_state_begins_paused(role: str | None, mode: str | None, first: ServingRole) -> None:
    environ = {"AETERNA_ROLE": role, "AETERNA_STATE_MODE": mode}
    assert first_role({key: value for key, value in environ.items() if value is not None}) is first
