"""Runs: list them, start them, delete those that have ended."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator

from aeterna.durable.core import codec
from aeterna.durable.core.states import State
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.operations.delete import delete, delete_finished
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.list_runs import list_runs
from aeterna.durable.operations.signal_with_start import signal_with_start
from aeterna.durable.operations.start import StartReply, StartRequest, start
from aeterna.durable.stores.contract import RunQuery
from aeterna.kernel.errors import AeternaError, UsageError
from aeterna.server.batches import attempted, start_those
from aeterna.server.errors import name_of, text_of
from aeterna.server.http import answers, bodies
from aeterna.server.http.gate import Caller, Newcomer, may, may_make
from aeterna.server.http.keys import IdempotencyKey, named_after, require_same_signal, require_same_start
from aeterna.server.http.records import run_record
from aeterna.server.incoming import check_name, check_start

PAGE_MAX = 1_000
INT64_MAX = 2**63 - 1

Json = dict[str, Any]
AnyCase = Annotated[State, BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)]
THERE: Json = {"model": answers.Started, "description": "It was there: by its id, its singleton, or the key"}

router = APIRouter(tags=["workflows"])
may_list = may("list")
may_start = may_make("start")
may_batch_start = may_make("batch_start")
may_signal_with_start = may_make("signal_with_start")
may_delete = may("delete")


@router.get("/workflows", response_model=answers.Runs)
async def list_workflows(
    caller: Caller = may_list,
    type: Annotated[str | None, Query(max_length=256)] = None,  # noqa: A002 - as users say it
    state: Annotated[list[AnyCase] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    before: Annotated[int | None, Query(ge=0, le=INT64_MAX)] = None,
) -> Json:
    """Runs, newest first; ``next`` of the answer is ``before`` of the next page."""
    page = await list_runs(caller.desk, RunQuery(type, tuple(state or ()), limit, before))
    return {"runs": [caller.run(row) for row in page.rows], "next": page.next}


@router.post("/workflows", status_code=201, response_model=answers.Started, responses={200: THERE})
async def start_workflow(
    body: bodies.Start,
    response: Response,
    caller: Newcomer = may_start,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """Start a run. 200 instead of 201 if it was there: by its id, its singleton, or the ``Idempotency-Key``."""
    request = start_request(body, named_after(idempotency_key, caller.namespace), caller.payload_bytes_max)
    desk = await caller.desk()
    reply = await start(desk, request)
    if not reply.is_new:
        response.status_code = 200
        await _check_key(desk, reply, request, is_keyed=idempotency_key is not None and body.id is None)
    return {"run": run_record(await describe(desk.store, reply.id), desk.name), "is_new": reply.is_new}


@router.post("/workflows/batch", response_model=answers.Batch)
async def start_batch(
    body: bodies.Batch,
    caller: Newcomer = may_batch_start,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """Start many runs. Each is answered for itself: one that cannot be started is no obstacle to the others."""
    wanted = []
    for number, each in enumerate(body.starts):
        keyed = named_after(idempotency_key, "batch", caller.namespace, str(number))
        wanted.append(attempted(partial(start_request, each, keyed, caller.payload_bytes_max)))
    results = []
    for each, request, reply in zip(body.starts, wanted, await start_those(caller.desk, wanted), strict=True):
        is_keyed = idempotency_key is not None and each.id is None
        results.append(await _batch_item(caller, request, reply, is_keyed=is_keyed))
    return {"results": results}


@router.post("/workflows/signal-with-start", response_model=answers.StartedWithSignal)
async def signal_with_start_workflow(
    body: bodies.SignalWithStart,
    caller: Newcomer = may_signal_with_start,
    idempotency_key: IdempotencyKey = None,
) -> Json:
    """Send a signal to a run, which is started first if it does not exist. Under one ``Idempotency-Key`` both are
    done once."""
    bytes_max = caller.payload_bytes_max
    keyed = named_after(idempotency_key, "signal-with-start", caller.namespace)
    request = start_request(body.start, keyed, bytes_max)
    name = check_name("name", body.signal.name)
    payload = codec.encode(body.signal.payload, "the payload", bytes_max)
    message_id = body.signal.id or named_after(idempotency_key, "signal")
    desk = await caller.desk()
    reply, is_new = await signal_with_start(desk, request, name, payload, message_id)
    await _check_key(desk, reply, request, is_keyed=idempotency_key is not None and body.start.id is None)
    if not is_new and not body.signal.id:
        await require_same_signal(desk.store, reply.id, message_id, name, payload)
    run = run_record(await describe(desk.store, reply.id), desk.name)
    return {"run": run, "is_new": reply.is_new, "is_duplicate": not is_new}


@router.post("/workflows/delete", response_model=answers.Deleted)
async def delete_workflows(body: bodies.Delete, caller: Caller = may_delete) -> Json:
    """Delete finished runs with their descendants."""
    if (body.ids is None) == (body.older_than_us is None):
        raise UsageError("give either ids or older_than_us")
    if body.ids is not None:
        return {"deleted": await delete(caller.desk, body.ids)}
    before_us = caller.desk.clock.now_us() - (body.older_than_us or 0)
    return {"deleted": await delete_finished(caller.desk, before_us, body.limit)}


async def _check_key(desk: NamespaceDesk, reply: StartReply, request: StartRequest, *, is_keyed: bool) -> None:
    """Raise `WorkflowIdConflictError` if the run was found by a key that another request had used. One that was found
    by its singleton has another id."""
    if is_keyed and not reply.is_new and reply.id == request.id:
        await require_same_start(desk.store, reply.id, request)


async def _batch_item(
    caller: Newcomer, request: StartRequest | AeternaError, reply: StartReply | AeternaError, *, is_keyed: bool
) -> Json:
    try:
        if isinstance(request, AeternaError):
            raise request
        if isinstance(reply, AeternaError):
            raise reply
        await _check_key(await caller.desk(), reply, request, is_keyed=is_keyed)
    except AeternaError as error:
        return {"error": name_of(error), "detail": text_of(error)}
    return {"id": reply.id, "is_new": reply.is_new}


def start_request(body: bodies.Start, keyed: str, bytes_max: int) -> StartRequest:
    """The request, checked; ``keyed``: its id if it has none. Raises `UsageError`."""
    what = f"the arguments of workflow {body.workflow!r}"
    wanted = StartRequest(
        id=body.id or keyed,
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
        affinity=body.affinity,
    )
    return check_start(wanted, bytes_max)
