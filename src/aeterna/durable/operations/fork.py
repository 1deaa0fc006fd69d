"""Start a run that begins with a part of another one's history."""

from __future__ import annotations

from aeterna.durable.core.fold import fold
from aeterna.durable.core.fork import fork_history
from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import CreateRun, Exists, Notice, NoticeKind
from aeterna.kernel.errors import UsageError, WorkflowIdConflictError
from aeterna.kernel.ids import check_run_id, new_run_id


@forwarded
async def fork(world: World, run_id: str, position: int, new_id: str | None = None) -> str:
    """The id of the new run, once that is durable: it has what was recorded before event number ``position``.

    Raises `RunNotFoundError`, `UsageError` for a position that the history does not have, and `WorkflowIdConflictError`
    if ``new_id`` is taken."""
    row = await describe(world.store, run_id)
    history = await world.store.history(run_id)
    if not 1 <= position <= len(history):
        raise UsageError(f"run {run_id!r} has the events 0 to {len(history) - 1}: fork it at 1 to {len(history)}")
    events = fork_history(history, position, run_id)
    run = fold(events)
    assert run.state is not None
    detail = Detail.QUEUED if run.state is State.PENDING else Detail.LEASED
    fork_id = new_run_id() if new_id is None else check_run_id(new_id)
    creation = CreateRun(
        fork_id, row.workflow, row.version, run.state, detail, None, tuple(events), requires=row.requires
    )
    outcome = await world.commit(creation)
    if isinstance(outcome, Exists):
        raise WorkflowIdConflictError(f"workflow id {fork_id!r} belongs to another run: choose another one")
    world.announce(Notice(NoticeKind.RUNS))
    return fork_id
