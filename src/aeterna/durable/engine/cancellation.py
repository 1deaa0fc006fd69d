"""Cancelling a run, wherever it is: in memory, asleep in the store, queued, or of a workflow that is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Head,
    MessageKind,
    Notice,
    NoticeKind,
    Post,
    Posted,
    RunRow,
    Store,
)
from aeterna.kernel.errors import InvalidStateError, RunNotFoundError

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine

ATTEMPTS = 3
"""A run may move between memory and store while we look for it, but not again and again."""


async def cancel(engine: Engine, run_id: str, reason: str) -> bool:
    """See `Engine.cancel`."""
    for _ in range(ATTEMPTS):
        row = await engine.store.get_run(run_id)
        if row is None:
            raise RunNotFoundError(f"no run has the id {run_id!r} in {engine.store.description}")
        if row.state.is_final:
            raise InvalidStateError(f"run {run_id!r} is {row.state.value} already and cannot be cancelled")
        if engine.store.is_shared and row.owner not in (None, engine.session):
            return await _post_cancel(engine, run_id, reason)
        # A run whose creation was committed a moment ago comes into memory before this returns.
        await engine.journal.barrier()
        runner = engine.residents.get(run_id)
        if runner is None:
            async with engine.claims.exclusive:
                asked = await _cancel_absent(engine, run_id, reason)
        else:
            asked = runner.cancel(reason)
        if asked is not None:
            await engine.journal.barrier()
            if runner is None or not runner.was_fenced:
                return asked
    raise InvalidStateError(
        f"run {run_id!r} belongs to another session: the process that has the store open can cancel it"
    )


async def _post_cancel(engine: Engine, run_id: str, reason: str) -> bool:
    """The run is another session's: leave the request in its inbox."""
    nothing = ev.Payload(b"jnull")
    post = Post(run_id, "cancel", MessageKind.CANCEL, reason, nothing, engine.clock.now_us())
    outcome = await engine.journal.request(post)
    if not isinstance(outcome, Posted):
        raise InvalidStateError(f"run {run_id!r} ended just now and cannot be cancelled")
    kind = NoticeKind.RUNS if outcome.owner is None else NoticeKind.INBOX
    engine.lookout.announce(Notice(kind, run_id))
    return not outcome.is_duplicate


async def cancel_claimed(store: Store, row: RunRow, now_us: int, reason: str) -> bool:
    """Write the cancellation of a run this session has claimed; False if another session took it meanwhile.

    A queued run has done nothing and ends at once. One that has begun is asked to: its workflow sees it, and may
    clean up, when a process that has its code comes back."""
    event: ev.AnyEvent
    if row.state is State.PENDING:
        event, head = ev.RunCancelled(now_us, reason), Head(State.CANCELLED, Detail.NONE)
    else:
        event = ev.CancelRequested(now_us, reason)
        head = Head(State.RUNNING, Detail.CANCELLING, release=True, note=row.note)
    [outcome] = await store.commit([Append(row.key, row.epoch, row.length, (event,), now_us, head)])
    return isinstance(outcome, Appended)


async def _cancel_absent(engine: Engine, run_id: str, reason: str) -> bool | None:
    """Cancel a run that is not in memory; None if it is by now, or has ended."""
    if engine.is_resident(run_id):
        return None
    with engine.claims.owning(run_id):
        row = await engine.store.claim_run(engine.session, run_id)
        return None if row is None else await _cancel_owned(engine, row, reason)


async def _cancel_owned(engine: Engine, row: RunRow, reason: str) -> bool | None:
    run_id = row.id
    if row.state is State.PENDING or engine.program.find(row.workflow, row.version) is None:
        if await cancel_claimed(engine.store, row, engine.clock.now_us(), reason):
            engine.lookout.ended_unseen(row)
        return True
    if row.detail is Detail.STUCK:
        # The request is written first: if the code fits by now the workflow sees it, and if not, the run ends by it.
        await cancel_claimed(engine.store, row, engine.clock.now_us(), reason)
        again = await engine.store.claim_run(engine.session, run_id)
        if again is None:
            return None
        row = again
    await engine.claims.load([row])
    runner = engine.residents.get(run_id)
    return row.detail is Detail.CANCELLING or (runner is not None and runner.cancel(reason))
