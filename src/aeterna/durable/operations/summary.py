"""How a namespace stands: what waits, what is stuck, and for how long."""

from __future__ import annotations

import msgspec

from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.workers import list_workers
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import QueueState, RunQuery, RunRow

STUCK_AFTER_S = 300.0
"""A run that should move and has not for so long counts as stuck, unless told otherwise."""
SHOWN_MAX = 20
LOOKED_AT_MAX = 10_000
"""Of more runs under way than this the oldest are not looked at."""
PAGE = 1_000

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
    them that waits longest was created, of those that were looked at and those in queues. ``stuck``: some of the
    ``stuck_count`` runs that do not move, those that have not moved longest first. ``is_partial``: so many are under
    way that only the latest ten thousand were looked at."""

    at_us: int
    runs: dict[str, int]
    pending: int
    oldest_pending_us: int | None
    queues: list[QueueState]
    workers: int
    stuck_count: int
    stuck: list[Stuck]
    is_partial: bool


@forwarded
async def summary(world: World, stuck_after_s: float = STUCK_AFTER_S) -> Summary:
    """How the namespace stands now."""
    now_us = world.clock.now_us()
    counts = await world.store.count_runs()
    queues = await world.store.list_queues()
    rows, is_partial = await _under_way(world)
    before_us = now_us - round(stuck_after_s * 1e6)
    stuck = sorted((row for row in rows if _is_stuck(row, before_us)), key=lambda row: row.updated_us)
    oldest = [state.oldest_us for state in queues if state.oldest_us is not None]
    oldest += [row.created_us for row in rows if row.state is State.PENDING]
    return Summary(
        at_us=now_us,
        runs={state.value: counts.get(state, 0) for state in State},
        pending=counts.get(State.PENDING, 0),
        oldest_pending_us=min(oldest, default=None),
        queues=queues,
        workers=len(await list_workers(world)),
        stuck_count=len(stuck),
        stuck=[Stuck(row.id, row.workflow, row.detail.value, row.note, row.updated_us) for row in stuck[:SHOWN_MAX]],
        is_partial=is_partial,
    )


async def _under_way(world: World) -> tuple[list[RunRow], bool]:
    """The latest runs that have not ended, and whether there are more."""
    rows: list[RunRow] = []
    before: int | None = None
    while len(rows) < LOOKED_AT_MAX:
        page = await world.store.list_runs(RunQuery(states=(State.PENDING, State.RUNNING), limit=PAGE, before=before))
        rows += page.rows
        before = page.next
        if before is None:
            return rows, False
    return rows, True


def _is_stuck(row: RunRow, before_us: int) -> bool:
    return row.detail is Detail.STUCK or (row.detail not in _AT_REST and row.updated_us < before_us)
