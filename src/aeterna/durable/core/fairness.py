"""Which runs that wait for their start may start now: the decision that every store carries out, the SQL ones in SQL.

Only runs that a session could take are *candidates*: PENDING, due, owned by nobody, and of its workflows, queues and
capabilities. What counts against a limit are all runs of the queue that have started and not ended, whoever has them,
and those that a session has just claimed.

The order, in the three steps a window function can take:

1. the **turn** of a run is its place, by key, among the candidates of its queue, priority and share;
2. its **place** in its queue and priority is by turn, then by when its share was served last (never comes first), then
   by key: so shares take turns, also when one run at a time is claimed;
3. runs start by priority (the lower, the sooner), then by place, then by key: queues take turns, too.

In this order each run starts unless its queue is paused, its share has its number of runs already, its queue has, or
the queue's rate allows no further start. (Counting the runs of a share first and then those of the queue gives the
same, because a queue that is full stays full.) Afterwards the shares that were served are marked with the time, and
each queue's ``tat_us`` moves on by its number of starts.

Runs of no queue (``''``) have no limits, and nobody remembers when their shares were served.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aeterna.durable.core import gcra

NO_QUEUE = ""


class Candidate(NamedTuple):
    """A run that could start."""

    key: int
    queue: str
    priority: int
    share: str


class Limits(Protocol):
    """The limits of a queue; None = no limit."""

    @property
    def concurrency(self) -> int | None: ...
    @property
    def concurrency_per_share(self) -> int | None: ...
    @property
    def rate(self) -> int | None: ...
    @property
    def rate_period_us(self) -> int: ...
    @property
    def burst(self) -> int: ...
    @property
    def is_paused(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a queue stands: ``running`` runs by share, the number of its rate limit, and when each share was served
    last."""

    running: Mapping[str, int] = field(default_factory=dict)
    tat_us: int = 0
    served_us: Mapping[str, int] = field(default_factory=dict)


_EMPTY = Standing()


def rate_of(limits: Limits) -> gcra.Rate | None:
    """The rate limit of a queue, None = it has none."""
    return None if limits.rate is None else gcra.Rate(limits.rate, limits.rate_period_us, limits.burst)


def choose(
    candidates: Iterable[Candidate],
    limits: Mapping[str, Limits],
    standings: Mapping[str, Standing],
    now_us: int,
    room: int,
) -> list[Candidate]:
    """Those that start, in order, at most ``room``; a queue that is in neither mapping has no limits and is empty."""
    gates: dict[str, _Gate] = {}
    chosen: list[Candidate] = []
    for run in in_order(candidates, standings):
        if len(chosen) >= room:
            break
        gate = gates.get(run.queue)
        if gate is None:
            gate = gates[run.queue] = _Gate(limits.get(run.queue), standings.get(run.queue, _EMPTY), now_us)
        if gate.admits(run.share):
            chosen.append(run)
    return chosen


def in_order(candidates: Iterable[Candidate], standings: Mapping[str, Standing]) -> list[Candidate]:
    """All candidates in the order in which they start."""
    turns: Counter[tuple[str, int, str]] = Counter()
    queues: dict[tuple[str, int], list[tuple[int, int, int, Candidate]]] = {}
    for run in sorted(candidates):
        turns[run.queue, run.priority, run.share] += 1
        turn = turns[run.queue, run.priority, run.share]
        served_us = standings.get(run.queue, _EMPTY).served_us.get(run.share, 0)
        queues.setdefault((run.queue, run.priority), []).append((turn, served_us, run.key, run))
    placed = [
        (run.priority, place, run.key, run)
        for queue in queues.values()
        for place, (_, _, _, run) in enumerate(sorted(queue))
    ]
    return [run for _, _, _, run in sorted(placed)]


class _Gate:
    """What the limits of one queue still allow, counted down."""

    __slots__ = ("_left", "_per_share", "_running")

    def __init__(self, limits: Limits | None, standing: Standing, now_us: int) -> None:
        self._running = Counter(standing.running)
        self._per_share = None if limits is None else limits.concurrency_per_share
        bounds: list[int] = []
        if limits is not None:
            if limits.is_paused:
                bounds.append(0)
            if limits.concurrency is not None:
                bounds.append(limits.concurrency - self._running.total())
            rate = rate_of(limits)
            if rate is not None:
                bounds.append(gcra.starts_left(rate, standing.tat_us, now_us))
        self._left = min(bounds, default=None)

    def admits(self, share: str) -> bool:
        """One more of this share may start, and is counted."""
        if self._left is not None and self._left <= 0:
            return False
        if self._per_share is not None and self._running[share] >= self._per_share:
            return False
        self._running[share] += 1
        if self._left is not None:
            self._left -= 1
        return True
