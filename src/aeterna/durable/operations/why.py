"""What a run waits for, and what would make it go on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import msgspec

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.fairness import rate_of
from aeterna.durable.core.states import State
from aeterna.durable.core.why import awaited_child
from aeterna.durable.core.why import why as explain
from aeterna.durable.core.why_facts import Facts, Place, Why, Worker
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import RunRow, SessionRow
from aeterna.kernel.errors import RunNotFoundError

GENERATIONS_MAX = 8
"""A child that waits for a child that waits for a child: so far it is followed."""


View = Callable[[RunRow, Sequence[AnyEvent]], tuple[RunRow, Sequence[AnyEvent]]]
"""What of a row and its history the explanation may speak of."""


@forwarded
async def why(world: World, run_id: str, *, view: View | None = None) -> Why:
    """What the run waits for, as far as ``view`` lets it be seen; raises `RunNotFoundError`."""
    return await _explain(world, run_id, await _workers(world), view or _all, GENERATIONS_MAX)


def _all(row: RunRow, history: Sequence[AnyEvent]) -> tuple[RunRow, Sequence[AnyEvent]]:
    return row, history


async def _explain(world: World, run_id: str, workers: list[Worker], view: View, generations: int) -> Why:
    row = await describe(world.store, run_id)
    row, history = view(row, await world.store.history(run_id))
    child = awaited_child(history) if generations and not row.state.is_final else None
    because: Why | None = None
    if child is not None:
        # It may have been deleted meanwhile.
        with contextlib.suppress(RunNotFoundError):
            because = await _explain(world, child, workers, view, generations - 1)
    is_queued = row.state is State.PENDING and row.owner is None and bool(row.queue)
    facts = Facts(
        row=row,
        history=history,
        workers=workers,
        now_us=world.clock.now_us(),
        unread=0 if row.state.is_final else len(await world.store.inbox(run_id)),
        place=await _place(world, row) if is_queued else None,
        child=because,
    )
    return explain(facts)


async def _place(world: World, row: RunRow) -> Place | None:
    state = next((state for state in await world.store.list_queues() if state.queue.name == row.queue), None)
    if state is None:
        return None
    queue = state.queue
    rank = await world.store.rank(row)
    return Place(
        queue=queue.name,
        is_paused=queue.is_paused,
        concurrency=queue.concurrency,
        concurrency_per_share=queue.concurrency_per_share,
        rate=rate_of(queue),
        tat_us=state.tat_us,
        running=state.running,
        running_of_share=rank.running_of_share,
        ahead=rank.ahead,
    )


class _About(msgspec.Struct, frozen=True):
    """What is read of `SessionRow.about`; ``role`` is "server" for a session that executes nothing."""

    role: str = ""
    workflows: frozenset[tuple[str, str]] | None = None
    queues: frozenset[str] | None = None
    capabilities: frozenset[str] = frozenset()


async def _workers(world: World) -> list[Worker]:
    found = [(row, _about(row.about)) for row in await world.store.list_sessions()]
    return [_worker(row, about) for row, about in found if about.role != "server"]


def _worker(row: SessionRow, about: _About) -> Worker:
    label = f"worker {row.name or f'{row.host}:{row.pid}'} (session {row.number})"
    return Worker(row.number, label, about.workflows, about.queues, about.capabilities)


def _about(text: str) -> _About:
    try:
        return msgspec.json.decode(text, type=_About)
    except msgspec.MsgspecError:
        # One that does not say what it takes is believed to take everything.
        return _About()
