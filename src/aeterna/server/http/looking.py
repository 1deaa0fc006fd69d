"""One run: how it stands, how it ended, what it recorded, what it waits for."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query

from aeterna.durable.core.fold import fold
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.history import history
from aeterna.durable.operations.why import why
from aeterna.server.http import answers
from aeterna.server.http.gate import Caller, RunId, may
from aeterna.server.http.records import event_record, outcome_record
from aeterna.server.redaction import view_without_payloads

PAGE_MAX = 1_000
INT64_MAX = 2**63 - 1
WAIT_S_MAX = 3_600.0

Json = dict[str, Any]

router = APIRouter(tags=["workflows"])
may_status = may("status")
may_cancel = may("cancel")
may_await_result = may("await_result")
may_history = may("history")
may_why = may("why")


@router.get("/workflows/{run_id}", response_model=answers.Outcome)
async def get_workflow(run_id: RunId, caller: Caller = may_status) -> Json:
    """A run and how it ended."""
    return await _state_of(caller, run_id)


@router.delete("/workflows/{run_id}", response_model=answers.Outcome)
async def cancel_workflow_by_delete(run_id: RunId, caller: Caller = may_cancel) -> Json:
    """As ``POST .../cancel``."""
    await cancel(caller.desk, run_id)
    return await _state_of(caller, run_id)


@router.get("/workflows/{run_id}/result", response_model=answers.Outcome)
async def get_result(
    run_id: RunId,
    caller: Caller = may_await_result,
    timeout_s: Annotated[float, Query(ge=0, le=WAIT_S_MAX)] = 30.0,
) -> Json:
    """Wait for the end; 408 if it does not come in time, and the run goes on."""
    await describe(caller.desk.store, run_id)
    await await_result(caller.desk, run_id, timeout_s)
    return await _state_of(caller, run_id)


@router.get("/workflows/{run_id}/history", response_model=answers.History)
async def get_history(
    run_id: RunId,
    caller: Caller = may_history,
    start: Annotated[int, Query(ge=0, le=INT64_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> Json:
    """The events of a run; ``next`` of the answer is ``start`` of the next page."""
    row, events = await history(caller.desk, run_id, start)
    sees = caller.identity.sees_payloads
    shown = [event_record(start + at, event, sees_payloads=sees) for at, event in enumerate(events[:limit])]
    following = start + limit if len(events) > limit else None
    return {"run": caller.run(row), "events": shown, "next": following}


@router.get("/workflows/{run_id}/why", response_model=answers.Explanation)
async def why_workflow(run_id: RunId, caller: Caller = may_why) -> Json:
    """What the run waits for, and what would unblock it."""
    view = None if caller.identity.sees_payloads else view_without_payloads
    return {"why": msgspec.to_builtins(await why(caller.desk, run_id, view=view))}


async def _state_of(caller: Caller, run_id: str) -> Json:
    row = await describe(caller.desk.store, run_id)
    run = fold(await caller.desk.store.history(run_id) if row.state.is_final else ())
    return {"run": caller.run(row), **outcome_record(run, sees_payloads=caller.identity.sees_payloads)}
