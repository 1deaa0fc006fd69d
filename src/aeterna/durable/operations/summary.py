"""How a namespace stands: what waits, what is stuck, and for how long."""

from __future__ import annotations

import msgspec

from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import QueueState, RunQuery, RunRow

STUCK_AFTER_S = 300.0
"""A run that should move and has not for so long counts as stuck, unless told otherwise."""
SHOWN_MAX = 20
LOOKED_AT_MAX = 1_000

_AT_REST = frozenset(
    {Detail.SLEEPING, Detail.WAITING_SIGNAL, Detail.WAITING_CHILD, Detail.PAUSED, Detail.RETRYING, Detail.QUEUED}
)
"""What a run may do for as long as it likes."""


class Stuck(msgspec.Struct, frozen=True):
    """A run that does not move."""

    id: str
    workflow: str
    detail: str
    note: str
    since_us: int


class Summary(msgspec.Struct, frozen=True):
    """``runs``: by state. ``pending``: of these, all that wait for their start; ``oldest_pending_us``: when the one of
    them that waits longest was created. ``stuck``: some of the ``stuck_count`` runs that do not move; with more than a
    thousand runs under way the latest thousand are looked at."""

    at_us: int
    runs: dict[str, int]
    pending: int
    oldest_pending_us: int | None
    queues: list[QueueState]
    workers: int
    stuck_count: int
    stuck: list[Stuck]


@forwarded
async def summary(world: World, stuck_after_s: float = STUCK_AFTER_S) -> Summary:
    """How the namespace stands now."""
    now_us = world.clock.now_us()
    counts = await world.store.count_runs()
    queues = await world.store.list_queues()
    running = await world.store.list_runs(RunQuery(states=(State.RUNNING,), limit=LOOKED_AT_MAX))
    pending = await world.store.list_runs(RunQuery(states=(State.PENDING,), limit=LOOKED_AT_MAX))
    before_us = now_us - round(stuck_after_s * 1e6)
    stuck = [row for row in (*running.rows, *pending.rows) if _is_stuck(row, before_us)]
    oldest = [state.oldest_us for state in queues if state.oldest_us is not None]
    oldest += [row.created_us for row in pending.rows]
    return Summary(
        at_us=now_us,
        runs={state.value: counts.get(state, 0) for state in State},
        pending=counts.get(State.PENDING, 0),
        oldest_pending_us=min(oldest, default=None),
        queues=queues,
        workers=sum('"role":"server"' not in row.about for row in await world.store.list_sessions()),
        stuck_count=len(stuck),
        stuck=[Stuck(row.id, row.workflow, row.detail.value, row.note, row.updated_us) for row in stuck[:SHOWN_MAX]],
    )


def _is_stuck(row: RunRow, before_us: int) -> bool:
    return row.detail is Detail.STUCK or (row.detail not in _AT_REST and row.updated_us < before_us)
