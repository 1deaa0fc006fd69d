"""A namespace of a server as a client reads it: rows, histories, and what is kept beside the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from aeterna.durable.core.events import AnyEvent
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import (
    Page,
    QueueRow,
    QueueState,
    RunQuery,
    RunRow,
    ScheduleRow,
    SessionRow,
    TokenRow,
)
from aeterna.durable.stores.remote.unary import Unary
from aeterna.durable.wire.convert import (
    STATES,
    events_from,
    queue_state_from,
    queue_to,
    row_from,
    schedule_from,
    session_from,
)
from aeterna.durable.wire.generated import admin_pb2 as admin
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.kernel.errors import NamespaceNotFoundError, RunNotFoundError, UsageError


class RemoteRecords:
    """The reading half of `Store`, and `Registry`, by a server's calls. Runs are written by whole verbs only.

    A namespace that is not there yet, because nobody has started anything in it, reads as an empty one."""

    is_shared = True

    def __init__(self, namespace: str, unary: Unary, description: str) -> None:
        self.description = description
        self._namespace = namespace
        self._unary = unary

    async def _ask_existing(self, method: str, request: Any, nothing: Callable[[], Any]) -> Any:
        """The response; a namespace that is not there holds nothing."""
        try:
            return await self._unary.ask("AdminService", method, request)
        except NamespaceNotFoundError:
            return nothing()

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        request = pb.GetStatusRequest(namespace=self._namespace, id=run_id)
        try:
            status = await self._unary.ask("ClientService", "GetWorkflowStatus", request)
        except (RunNotFoundError, NamespaceNotFoundError):
            return None
        return row_from(status.info)

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`."""
        request = admin.HistoryRequest(namespace=self._namespace, id=run_id, start=start)
        events: list[AnyEvent] = []
        try:
            async for segment in self._unary.stream("AdminService", "GetHistory", request):
                events += events_from(segment)
        except (RunNotFoundError, NamespaceNotFoundError):
            return []
        return events

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        request = admin.ListRequest(
            namespace=self._namespace,
            workflow=query.workflow or "",
            states=[STATES[state] for state in query.states],
            limit=query.limit + 1,
            before=query.before,
        )
        rows: list[RunRow] = []
        with suppress(NamespaceNotFoundError):
            rows = [row_from(info) async for info in self._unary.stream("AdminService", "ListWorkflows", request)]
        shown = tuple(rows[: query.limit])
        return Page(shown, shown[-1].key if shown and len(rows) > len(shown) else None)

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        request = admin.MetricsRequest(namespace=self._namespace)
        found = await self._ask_existing("GetMetrics", request, admin.Metrics)
        counts = {
            State.PENDING: found.pending,
            State.RUNNING: found.running,
            State.COMPLETED: found.completed,
            State.FAILED: found.failed,
            State.CANCELLED: found.cancelled,
        }
        return {state: count for state, count in counts.items() if count}

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        request = admin.DeleteWorkflowsRequest(namespace=self._namespace, ids=run_ids)
        return int((await self._ask_existing("DeleteWorkflows", request, admin.DeleteWorkflowsResponse)).deleted)

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""
        request = admin.DeleteWorkflowsRequest(namespace=self._namespace, finished_before_us=before_us, limit=limit)
        return int((await self._ask_existing("DeleteWorkflows", request, admin.DeleteWorkflowsResponse)).deleted)

    async def list_sessions(self, *, limit: int = 1000) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        request = admin.ListWorkersRequest(namespace=self._namespace)
        found = await self._ask_existing("ListWorkers", request, admin.ListWorkersResponse)
        return [session_from(info) for info in found.workers][:limit]

    async def put_queue(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`."""
        request = admin.PutQueueRequest(namespace=self._namespace, queue=queue_to(queue))
        await self._unary.ask("AdminService", "PutQueue", request)

    async def delete_queue(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        request = admin.DeleteQueueRequest(namespace=self._namespace, name=name)
        return bool((await self._ask_existing("DeleteQueue", request, admin.DeleteQueueResponse)).existed)

    async def list_queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        request = admin.ListQueuesRequest(namespace=self._namespace)
        found = await self._ask_existing("ListQueues", request, admin.ListQueuesResponse)
        return [queue_state_from(info) for info in found.queues]

    async def put_schedule(self, schedule: ScheduleRow) -> None:
        """Create or replace a schedule; when it fires next, the server works out."""
        request = admin.PutScheduleRequest(
            namespace=self._namespace, id=schedule.id, spec=schedule.spec, is_paused=schedule.is_paused
        )
        await self._unary.ask("AdminService", "PutSchedule", request)

    async def delete_schedule(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        request = admin.DeleteScheduleRequest(namespace=self._namespace, id=schedule)
        return bool((await self._ask_existing("DeleteSchedule", request, admin.DeleteScheduleResponse)).existed)

    async def list_schedules(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        request = admin.ListSchedulesRequest(namespace=self._namespace)
        found = await self._ask_existing("ListSchedules", request, admin.ListSchedulesResponse)
        return [schedule_from(row) for row in found.schedules]

    async def next_schedule(self) -> int | None:
        """See `Registry.next_schedule`."""
        due = [row.next_us for row in await self.list_schedules() if row.next_us is not None and not row.is_paused]
        return min(due, default=None)

    async def put_token(self, token: TokenRow) -> None:
        """Always raises `UsageError`: the server makes tokens, so that it alone sees them."""
        raise UsageError("a token is made by the server: aeterna token create --server")

    async def delete_token(self, hash_: bytes) -> bool:
        """See `Registry.delete_token`."""
        request = admin.RevokeTokenRequest(namespace=self._namespace, hash=hash_.hex())
        return bool((await self._unary.ask("AdminService", "RevokeToken", request)).existed)

    async def list_tokens(self) -> list[TokenRow]:
        """See `Registry.list_tokens`."""
        request = admin.ListTokensRequest(namespace=self._namespace)
        found = await self._unary.ask("AdminService", "ListTokens", request)
        return [
            TokenRow(bytes.fromhex(token.hash), token.namespace, token.role, token.created_us, token.note)
            for token in found.tokens
        ]
