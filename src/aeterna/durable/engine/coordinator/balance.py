"""Who should hand runs over to whom: pure.

A worker's load is what it holds in proportion to what it can take. Runs go from the most loaded worker to the least
loaded one, as long as the giver stays at least as loaded as the taker becomes; so no plan ever has to be taken back,
and carrying one out leaves nothing to plan. A worker is disturbed only where it would give up a clear surplus (see
`SURPLUS_MIN`): small differences come and go by themselves, and a run that moves is replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from aeterna.durable.stores.contract import Choice

SURPLUS_MIN = 2
SURPLUS_DIVISOR = 8
SURPLUS_MAX = 64
"""A worker gives nothing up unless that is so many runs at least, and such a part of what it holds, or very many."""
MOVES_MAX = 256
"""So many runs one plan moves: each of them is replayed where it goes."""


@dataclass(frozen=True, slots=True)
class Load:
    """How one session stands. ``held``: the runs it has; ``room``: how many more it takes; ``can_give``: its worker can
    be asked to hand runs over."""

    session: int
    held: int
    room: int
    choice: Choice
    can_give: bool = True

    @property
    def capacity(self) -> int:
        """What it can hold at all."""
        return self.held + self.room


class Move(NamedTuple):
    """``runs`` runs from one session to another."""

    giver: int
    taker: int
    runs: int


def covers(taker: Choice, giver: Choice) -> bool:
    """Whatever ``giver`` executes, ``taker`` can execute, too."""
    return (
        _holds(taker.workflows, giver.workflows)
        and _holds(taker.queues, giver.queues)
        and set(giver.capabilities) <= set(taker.capabilities)
    )


def _holds(wide: Sequence[object] | None, narrow: Sequence[object] | None) -> bool:
    """None means all."""
    if wide is None:
        return True
    return narrow is not None and set(narrow) <= set(wide)


def plan_moves(loads: Sequence[Load]) -> list[Move]:
    """The moves that would even the loads out; none where they are even enough."""
    spared: set[int] = set()
    while True:
        counts = _even_out([load if load.session not in spared else replace(load, can_give=False) for load in loads])
        unclear = {load.session for load in loads if 0 < _given(counts, load) < _surplus(load)}
        if not unclear:
            return [Move(giver, taker, runs) for (giver, taker), runs in counts.items()]
        # Without those who would be disturbed for too little, the others may have to give to somebody else.
        spared |= unclear


def _given(counts: Mapping[tuple[int, int], int], load: Load) -> int:
    return sum(runs for (giver, _), runs in counts.items() if giver == load.session)


def _surplus(load: Load) -> int:
    return min(max(SURPLUS_MIN, load.held // SURPLUS_DIVISOR), SURPLUS_MAX)


def _even_out(loads: Sequence[Load]) -> dict[tuple[int, int], int]:
    """How many runs go from whom to whom, one after the other, always between those that differ most."""
    held = {load.session: load.held for load in loads}
    pairs = _pairs(loads)
    counts: dict[tuple[int, int], int] = {}
    for _ in range(MOVES_MAX):
        best = _widest(pairs, held)
        if best is None:
            break
        held[best[0]] -= 1
        held[best[1]] += 1
        counts[best] = counts.get(best, 0) + 1
    return counts


def _pairs(loads: Sequence[Load]) -> list[tuple[Load, Load]]:
    """Who could give to whom."""
    takers = [load for load in loads if load.room > 0]
    givers = [load for load in loads if load.can_give and load.held >= SURPLUS_MIN]
    return [
        (giver, taker)
        for giver in givers
        for taker in takers
        if taker is not giver
        and _would_even(giver, taker, giver.held, taker.held)
        and covers(taker.choice, giver.choice)
    ]


def _would_even(giver: Load, taker: Load, given: int, taken: int) -> bool:
    """After one more run, the giver (of ``given`` runs) is at least as loaded as the taker (of ``taken``)."""
    return taken < taker.capacity and (given - 1) * taker.capacity >= (taken + 1) * giver.capacity


def _widest(pairs: Sequence[tuple[Load, Load]], held: dict[int, int]) -> tuple[int, int] | None:
    """The pair whose loads differ most."""
    best: tuple[int, int] | None = None
    widest = 0.0
    for giver, taker in pairs:
        given, taken = held[giver.session], held[taker.session]
        gap = given / giver.capacity - taken / taker.capacity
        if gap > widest and _would_even(giver, taker, given, taken):
            best, widest = (giver.session, taker.session), gap
    return best
