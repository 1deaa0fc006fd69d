"""Long random walks through the table, by seed: every promise holds at every step, and the walks get everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from aeterna.supervisor.core.deadlines import deadline_ms
from aeterna.supervisor.core.records import HandoverPolicy
from aeterna.supervisor.core.restart import Death, RestartPolicy, Rule
from aeterna.supervisor.core.table import ASKED
from aeterna.supervisor.core.vocabulary import Kind, State
from tests.supervisor.core import promises
from tests.supervisor.core.world import World

SEEDS = 400
STEPS = 80
ORDERS = sorted(ASKED - {Kind.RELOAD})
MOVING = frozenset({State.PRECOPY, State.QUIESCE, State.SNAPSHOT, State.RESTORE})


def policy_of(chance: random.Random) -> HandoverPolicy:
    mode = chance.choice(["none", "exclusive", "shared"])
    return HandoverPolicy(
        moves_state=mode == "exclusive",
        shares_state=mode == "shared",
        aborts_without_state=chance.random() < 0.5,
        stops_first=chance.random() < 0.2,
        queues=chance.random() < 0.5,
        weights=(100,) if mode == "exclusive" else chance.choice([(100,), (5, 25, 100)]),
        step_ms=1_000,
        soak_ms=chance.choice([0, 1_000]),
        restart=RestartPolicy(
            rule=chance.choice([Rule.ALWAYS, Rule.ALWAYS, Rule.ON_FAILURE, Rule.NO]), attempts_max=chance.choice([2, 5])
        ),
    )


def happen(world: World, chance: random.Random) -> None:
    """One thing that may happen now; work is done more often than it fails."""
    progress = chance.randint(0, 6)
    may: list[tuple[float, Callable[[], object]]] = [
        (2, lambda: world.post(chance.choice([Kind.UNHEALTHY, Kind.FLAPPING]), "ill")),
        (5, lambda: world.post(Kind.RELOAD, must_queue=chance.random() < 0.5)),
        (2, lambda: world.post(chance.choice(ORDERS))),
        (0.3, lambda: world.post(Kind.STOP)),
        (1, lambda: world.recover(progress)),
    ]
    if world.is_working:
        may += [(25, world.finish), (3, lambda: world.fail(Kind.FAIL, progress))]
    if world.is_working and world.machine.state in MOVING:
        may += [(1, lambda: world.fail(Kind.MISSING, progress))]
    if deadline_ms(world.machine, world.policy) is not None:
        may += [(4, lambda: (world.work_on(progress), world.post(Kind.TIMEOUT, chance.choice(["", "slow"]))))]
    if world.machine.is_paused:
        may += [(3, lambda: (world.work_on(progress), world.post(Kind.BLACKOUT, "blackout")))]
    if world.processes:
        may += [(3, lambda: world.die(chance.choice(sorted(world.processes)), some_death(chance)))]
    [happens] = chance.choices([each for _, each in may], [weight for weight, _ in may])
    happens()


def some_death(chance: random.Random) -> Death:
    code = chance.choice([0, 1, 3, None])
    lifetime_ms = chance.choice([10, 60_000])
    return Death(code, None if code is not None else 9, lifetime_ms, was_ready=lifetime_ms > 10)


@pytest.fixture(scope="module")
def walks() -> set[State]:
    """The states that all walks together came through."""
    visited: set[State] = set()
    for seed in range(SEEDS):
        chance = random.Random(seed)
        world = World(policy_of(chance))
        world.post(Kind.START)
        for step in range(STEPS):
            happen(world, chance)
            visited.add(world.machine.state)
            try:
                for promise in promises.CHEAP:
                    promise(world)
                if step % 20 == 0:
                    promises.time_alone_brings_it_to_rest(world)
            except AssertionError as error:
                error.add_note(f"seed {seed}, step {step}, {world.last}")
                raise
    return visited


def test_the_walks_keep_every_promise_and_come_through_every_state(walks: set[State]) -> None:
    assert walks == set(State)
