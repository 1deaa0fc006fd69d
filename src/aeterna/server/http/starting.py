"""Runs: list them, start them, delete those that have ended."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from aeterna.durable.core import codec
from aeterna.durable.core.states import State
from aeterna.durable.operations.delete import delete, delete_finished
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.list_runs import list_runs
from aeterna.durable.operations.start import StartRequest, start
from aeterna.durable.stores.contract import RunQuery
from aeterna.kernel.errors import UsageError
from aeterna.server.http import bodies
from aeterna.server.http.gate import Caller, Gate
from aeterna.server.http.keys import IdempotencyKey, named_after, require_same_start
from aeterna.server.http.records import run_record
from aeterna.server.incoming import check_start
from aeterna.server.rpc.serving import ADMIN, CLIENT, READ

PAGE_MAX = 1_000
INT64_MAX = 2**63 - 1

Json = dict[str, Any]


def starting(gate: Gate) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["workflows"])
    reader, admin = Depends(gate.needs(READ)), Depends(gate.needs(ADMIN))
    starter = Depends(gate.needs(CLIENT, creates=True))

    @router.get("/workflows")
    async def list_workflows(
        caller: Caller = reader,
        type: Annotated[str | None, Query(max_length=256)] = None,  # noqa: A002 - as users say it
        state: Annotated[list[State] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        before: Annotated[int | None, Query(ge=0, le=INT64_MAX)] = None,
    ) -> Json:
        """Runs, newest first; ``next`` of the answer is ``before`` of the next page."""
        page = await list_runs(caller.desk, RunQuery(type, tuple(state or ()), limit, before))
        return {"runs": [run_record(row, caller.desk.name) for row in page.rows], "next": page.next}

    @router.post("/workflows", status_code=201)
    async def start_workflow(
        body: bodies.Start,
        response: Response,
        caller: Caller = starter,
        idempotency_key: IdempotencyKey = None,
    ) -> Json:
        """Start a run. 200 instead of 201 if it was there: by its id, its singleton, or the ``Idempotency-Key``."""
        desk = caller.desk
        request = _start_request(body, desk.name, idempotency_key, desk.limits.payload_bytes_max)
        reply = await start(desk, request)
        if not reply.is_new:
            response.status_code = 200
            if idempotency_key is not None and body.id is None:
                await require_same_start(desk.store, reply.id, request)
        return {"run": run_record(await describe(desk.store, reply.id), desk.name), "is_new": reply.is_new}

    @router.post("/workflows/delete")
    async def delete_workflows(body: bodies.Delete, caller: Caller = admin) -> Json:
        """Delete finished runs with their descendants."""
        if (body.ids is None) == (body.older_than_us is None):
            raise UsageError("give either ids or older_than_us")
        if body.ids is not None:
            return {"deleted": await delete(caller.desk, body.ids)}
        before_us = caller.desk.clock.now_us() - (body.older_than_us or 0)
        return {"deleted": await delete_finished(caller.desk, before_us, body.limit)}

    return router


def _start_request(body: bodies.Start, namespace: str, key: str | None, bytes_max: int) -> StartRequest:
    what = f"the arguments of workflow {body.workflow!r}"
    wanted = StartRequest(
        id=body.id or named_after(key, namespace, body.workflow),
        workflow=body.workflow,
        version=body.version,
        arguments=codec.encode([body.args, body.kwargs], what, bytes_max),
        queue=body.queue,
        priority=body.priority,
        share=body.share,
        delay_us=body.delay_us,
        singleton=body.singleton,
        debounce=body.debounce,
        requires=tuple(body.requires),
    )
    return check_start(wanted, bytes_max)
