"""What can be asked of a server, and which role it takes: the one table, by which every transport admits its callers.

A verb is one operation, however it is asked for: by a gRPC method, by a route of the HTTP API, or by a call on a
worker's session. What its row does not name cannot be asked for: a test holds the table against the services and the
routes that there are.

Who may what follows from what it does. To look takes `READ`; to begin, tell and end runs, and to see what they were
given and what came of them, `CLIENT`. A worker executes runs, and the program behind it declares its queues, its
schedules and how long its runs are kept, in code, when it starts: that is `WORKER`, by whichever way it is asked. What
a program does not declare is the operators': to pause, trigger, backfill and delete takes `ADMIN`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aeterna.server.auth import Role

READ, CLIENT, WORKER, ADMIN = Role.READ_ONLY, Role.CLIENT, Role.WORKER, Role.ADMIN


class Verb(NamedTuple):
    """One operation. ``grpc``: ``Service.Method``; ``http``: ``METHOD /path``; ``calls``: those of a worker's session.
    ``creates``: a namespace that is not there comes to be; for all others it must exist."""

    name: str
    need: Role
    grpc: tuple[str, ...] = ()
    http: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    creates: bool = False


_RUN = "/api/workflows/{run_id}"
_QUEUE = "/api/queues/{name}"
_SCHEDULE = "/api/schedules/{schedule_id}"

_TABLE = (
    # Looking.
    Verb("list", READ, ("AdminService.ListWorkflows",), ("GET /api/workflows",), ("list_runs",)),
    Verb("status", READ, ("ClientService.GetWorkflowStatus",), (f"GET {_RUN}",), ("get_run",)),
    Verb("history", READ, ("AdminService.GetHistory",), (f"GET {_RUN}/history",), ("history",)),
    Verb("why", READ, ("AdminService.WhyWorkflow",), (f"GET {_RUN}/why",)),
    Verb("count", READ, ("AdminService.GetMetrics",), ("GET /api/metrics",), ("count_runs",)),
    Verb("summary", READ, ("AdminService.GetSummary",), ("GET /api/observability/summary",)),
    Verb("list_workers", READ, ("AdminService.ListWorkers",), ("GET /api/workers",), ("list_sessions",)),
    Verb("list_queues", READ, ("AdminService.ListQueues",), ("GET /api/queues",), ("list_queues",)),
    Verb("get_queue", READ, (), (f"GET {_QUEUE}",)),
    Verb(
        "list_schedules",
        READ,
        ("AdminService.ListSchedules",),
        ("GET /api/schedules",),
        ("list_schedules", "next_schedule"),
    ),
    Verb("get_schedule", READ, (), (f"GET {_SCHEDULE}",)),
    Verb("watch", READ, ("AdminService.WatchChanges",), ("GET /api/changes",)),
    Verb("list_namespaces", READ, (), ("GET /api/namespaces",)),
    # Runs.
    Verb("start", CLIENT, ("ClientService.StartWorkflow",), ("POST /api/workflows",), creates=True),
    Verb("batch_start", CLIENT, ("ClientService.BatchStart",), ("POST /api/workflows/batch",), creates=True),
    Verb(
        "signal_with_start",
        CLIENT,
        ("ClientService.SignalWithStart",),
        ("POST /api/workflows/signal-with-start",),
        creates=True,
    ),
    Verb("talk", CLIENT, ("ClientService.Talk",), creates=True),
    Verb("await_result", CLIENT, ("ClientService.AwaitResult",), (f"GET {_RUN}/result",)),
    Verb("cancel", CLIENT, ("ClientService.CancelWorkflow",), (f"POST {_RUN}/cancel", f"DELETE {_RUN}")),
    Verb("signal", CLIENT, ("ClientService.SignalWorkflow",), (f"POST {_RUN}/signal",)),
    Verb("query", CLIENT, ("ClientService.QueryWorkflow",), (f"POST {_RUN}/query",)),
    Verb("pause", CLIENT, ("ClientService.PauseWorkflow",), (f"POST {_RUN}/pause",)),
    Verb("resume", CLIENT, ("ClientService.ResumeWorkflow",), (f"POST {_RUN}/resume",)),
    Verb("terminate", CLIENT, ("ClientService.TerminateWorkflow",), (f"POST {_RUN}/terminate",)),
    Verb("fork", CLIENT, ("ClientService.ForkWorkflow",), (f"POST {_RUN}/fork",)),
    Verb("delete", ADMIN, ("AdminService.DeleteWorkflows",), ("POST /api/workflows/delete",), ("delete_runs",)),
    # Executing runs, and what a program declares.
    Verb(
        "work",
        WORKER,
        ("WorkerService.Session", "WorkerService.Register"),
        (),
        ("renew_us", "claim_run", "inbox", "unread", "announce", "close"),
        creates=True,
    ),
    Verb(
        "do_task",
        WORKER,
        (
            "WorkerService.PollTasks",
            "WorkerService.ReportStep",
            "WorkerService.CompleteStep",
            "WorkerService.Heartbeat",
        ),
    ),
    Verb("retain", WORKER, (), (), ("delete_finished",)),
    Verb(
        "put_queue",
        WORKER,
        ("AdminService.PutQueue",),
        (f"PUT {_QUEUE}", f"PATCH {_QUEUE}"),
        ("put_queue",),
        creates=True,
    ),
    Verb("put_schedule", WORKER, ("AdminService.PutSchedule",), (f"PUT {_SCHEDULE}",), ("put_schedule",), creates=True),
    # Operating.
    Verb("pause_queue", ADMIN, (), (f"POST {_QUEUE}/pause", f"POST {_QUEUE}/resume")),
    Verb("delete_queue", ADMIN, ("AdminService.DeleteQueue",), (f"DELETE {_QUEUE}",), ("delete_queue",)),
    Verb(
        "pause_schedule",
        ADMIN,
        ("AdminService.PauseSchedule",),
        (f"POST {_SCHEDULE}/pause", f"POST {_SCHEDULE}/resume"),
    ),
    Verb("trigger_schedule", ADMIN, ("AdminService.TriggerSchedule",), (f"POST {_SCHEDULE}/trigger",)),
    Verb("backfill_schedule", ADMIN, ("AdminService.BackfillSchedule",), (f"POST {_SCHEDULE}/backfill",)),
    Verb("delete_schedule", ADMIN, ("AdminService.DeleteSchedule",), (f"DELETE {_SCHEDULE}",), ("delete_schedule",)),
    Verb("create_token", ADMIN, ("AdminService.CreateToken",), ("POST /api/tokens",)),
    Verb("list_tokens", ADMIN, ("AdminService.ListTokens",), ("GET /api/tokens",)),
    Verb("revoke_token", ADMIN, ("AdminService.RevokeToken",), ("DELETE /api/tokens/{token_id}",)),
)

VERBS: Mapping[str, Verb] = {verb.name: verb for verb in _TABLE}
"""By their names."""

CALL_NEEDS: Mapping[str, Role] = {call: verb.need for verb in _TABLE for call in verb.calls}
"""By the calls of a worker's session; ``delete_finished`` is ``delete_runs`` with a time instead of ids."""

OPEN_ROUTES = frozenset({"GET /health", "GET /ready"})
"""Those that tell nothing of any namespace, and that whatever watches the process asks without a token."""


def need_of(verb: str) -> Role:
    """The role that a verb takes."""
    return VERBS[verb].need
