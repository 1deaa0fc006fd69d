"""Start a run that begins with a part of another one's history."""

from __future__ import annotations

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.fold import fold
from aeterna.durable.core.fork import fork_history, step_names, step_positions
from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import CreateRun, Exists, Notice, NoticeKind, RunRow
from aeterna.kernel.errors import UsageError, WorkflowIdConflictError
from aeterna.kernel.ids import check_run_id, new_run_id

NAMES_TOLD_MAX = 20
"""Of the steps that there are, a message names so many."""


@forwarded
async def fork(world: World, run_id: str, position: int, new_id: str | None = None) -> str:
    """The id of the new run, once that is durable: it has what was recorded before event number ``position``.

    Raises `RunNotFoundError`, `UsageError` for a position that the history does not have, and `WorkflowIdConflictError`
    if ``new_id`` is taken. It is in the queue of the first one, with its priority and share: one that has to begin
    waits for its turn there, and one that had begun takes a place there."""
    row = await describe(world.store, run_id)
    history = await world.store.history(run_id)
    if not 1 <= position <= len(history):
        raise UsageError(f"run {run_id!r} has the events 0 to {len(history) - 1}: fork it at 1 to {len(history)}")
    events = fork_history(history, position, run_id, world.clock.now_us())
    fork_id = new_run_id() if new_id is None else check_run_id(new_id)
    outcome = await world.commit(_creation(row, fork_id, events))
    if isinstance(outcome, Exists):
        raise WorkflowIdConflictError(f"workflow id {fork_id!r} belongs to another run: choose another one")
    world.announce(Notice(NoticeKind.RUNS, row.queue))
    return fork_id


def _creation(row: RunRow, fork_id: str, events: list[AnyEvent]) -> CreateRun:
    state = fold(events).state
    assert state is not None
    return CreateRun(
        fork_id,
        row.workflow,
        row.version,
        state,
        Detail.QUEUED if state is State.PENDING else Detail.LEASED,
        None,
        tuple(events),
        queue=row.queue,
        priority=row.priority,
        share=row.share,
        requires=row.requires,
    )


async def position_of_step(world: World, run_id: str, step: str, occurrence: int = 1) -> int:
    """The position at which a fork executes this step again: before all that was recorded of the ``occurrence``-th step
    of that name, counted as the history tells of them.

    Raises `RunNotFoundError`, and `UsageError` if the history has no such step."""
    await describe(world.store, run_id)
    history = await world.store.history(run_id)
    positions = step_positions(history, step)
    if 1 <= occurrence <= len(positions):
        return positions[occurrence - 1]
    if positions:
        raise UsageError(
            f"run {run_id!r} has recorded {len(positions)} of step {step!r}, there is no number {occurrence}"
        )
    names = ", ".join(map(repr, step_names(history)[:NAMES_TOLD_MAX]))
    raise UsageError(
        f"run {run_id!r} has recorded no step {step!r}; " + (f"there are {names}" if names else "it has none")
    )
