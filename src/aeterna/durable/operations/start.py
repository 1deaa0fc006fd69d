"""Start a run that whoever has room executes."""

from __future__ import annotations

import msgspec

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import CreateRun, Exists, Notice, NoticeKind
from aeterna.kernel.errors import WorkflowIdConflictError


class StartRequest(msgspec.Struct, frozen=True):
    """What is to be started, and how (see `engine.program.StartOptions`)."""

    id: str
    workflow: str
    version: str
    arguments: ev.Payload
    queue: str = ""
    priority: int = 0
    share: str = ""
    delay_us: int = 0
    singleton: str | None = None
    debounce: bool = False
    requires: tuple[str, ...] = ()
    affinity: str = ""


class StartReply(msgspec.Struct, frozen=True):
    """The run that is meant: the new one, or the one that was there."""

    id: str
    is_new: bool


@forwarded
async def start(world: World, request: StartRequest) -> StartReply:
    """Returns once the run is durable. One of the same id, or an unfinished one of the same singleton, is found
    instead.

    Raises `WorkflowIdConflictError` if the id belongs to a run of another workflow."""
    now_us = world.clock.now_us()
    created = ev.RunCreated(now_us, request.workflow, request.version, request.arguments, affinity=request.affinity)
    write = CreateRun(
        id=request.id,
        workflow=request.workflow,
        version=request.version,
        state=State.PENDING,
        detail=Detail.QUEUED,
        owner=None,
        events=(created,),
        queue=request.queue,
        priority=request.priority,
        share=request.share,
        requires=request.requires,
        wake_us=now_us + request.delay_us if request.delay_us else None,
        singleton=request.singleton,
        debounce=request.debounce,
    )
    outcome = await world.commit(write)
    if not isinstance(outcome, Exists):
        world.announce(Notice(NoticeKind.RUNS))
        return StartReply(request.id, is_new=True)
    if outcome.row.workflow != request.workflow:
        raise WorkflowIdConflictError(
            f"workflow id {request.id!r} belongs to a run of workflow {outcome.row.workflow!r}, not "
            f"{request.workflow!r}: choose another id"
        )
    if request.debounce:
        # It may start sooner than it was to.
        world.announce(Notice(NoticeKind.RUNS))
    return StartReply(outcome.row.id, is_new=False)
