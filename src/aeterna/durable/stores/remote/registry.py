"""What a worker asks its server over the session and nothing is kept of here: rows, counts, queues, schedules; and
what it leaves to the server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import (
    Page,
    QueueRow,
    QueueState,
    Rank,
    RunQuery,
    RunRow,
    ScheduleRow,
    SessionRow,
    TokenRow,
)
from aeterna.durable.wire.convert import (
    STATES,
    queue_state_from,
    queue_to,
    row_from,
    schedule_from,
    schedule_to,
    session_from,
)
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.errors import UsageError


class RemoteRegistry(ABC):
    """The part of the store that only asks."""

    description: str

    @abstractmethod
    async def call(self, call: pb.Call) -> list[pb.Reply]:
        """Ask the server."""

    async def get_run(self, run_id: str) -> RunRow | None:
        """See `Store.get_run`."""
        (reply,) = await self.call(pb.Call(get_run=run_id))
        return row_from(reply.rows[0]) if reply.rows else None

    async def list_runs(self, query: RunQuery) -> Page:
        """See `Store.list_runs`."""
        call = pb.ListCall(
            workflow=query.workflow or "",
            states=[STATES[state] for state in query.states],
            limit=query.limit,
            before=query.before,
        )
        (reply,) = await self.call(pb.Call(list_runs=call))
        return Page(tuple(map(row_from, reply.rows)), reply.count if reply.HasField("count") else None)

    async def count_runs(self) -> dict[State, int]:
        """See `Store.count_runs`."""
        (reply,) = await self.call(pb.Call(count_runs=True))
        return {State(name): count for name, count in reply.counts.items()}

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """See `Store.delete_runs`."""
        (reply,) = await self.call(pb.Call(delete_runs=pb.DeleteCall(ids=run_ids)))
        return reply.count

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """See `Store.delete_finished`."""
        call = pb.DeleteCall(finished_before_us=before_us, limit=limit)
        (reply,) = await self.call(pb.Call(delete_runs=call))
        return reply.count

    async def forget(self, before_us: int, limit: int) -> int:
        """0: the server does that by itself."""
        return 0

    async def backup(self, target: Path) -> None:
        """Always raises `UsageError`: a server's store is copied where it is."""
        raise UsageError(f"{self.description} cannot be copied to {target} from here: do it where the server runs")

    async def list_sessions(self, *, limit: int = 1000) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        (reply,) = await self.call(pb.Call(list_sessions=True))
        return [session_from(info) for info in reply.workers][:limit]

    async def put_queue(self, queue: QueueRow) -> None:
        """See `Registry.put_queue`."""
        await self.call(pb.Call(put_queue=queue_to(queue)))

    async def delete_queue(self, name: str) -> bool:
        """See `Registry.delete_queue`."""
        (reply,) = await self.call(pb.Call(delete_queue=name))
        return bool(reply.count)

    async def list_queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        (reply,) = await self.call(pb.Call(list_queues=True))
        return [queue_state_from(info) for info in reply.queues]

    async def rank(self, run: RunRow) -> Rank:
        """Always raises `UsageError`: what a run waits for, its server says itself."""
        raise UsageError(f"how run {run.id!r} stands in its queue is the server's to know: ask it why the run waits")

    async def put_schedule(self, schedule: ScheduleRow) -> None:
        """See `Registry.put_schedule`."""
        await self.call(pb.Call(put_schedule=schedule_to(schedule)))

    async def delete_schedule(self, schedule: str) -> bool:
        """See `Registry.delete_schedule`."""
        (reply,) = await self.call(pb.Call(delete_schedule=schedule))
        return bool(reply.count)

    async def list_schedules(self) -> list[ScheduleRow]:
        """See `Registry.list_schedules`."""
        (reply,) = await self.call(pb.Call(list_schedules=True))
        return [schedule_from(row) for row in reply.schedules]

    async def next_schedule(self) -> int | None:
        """See `Registry.next_schedule`."""
        (reply,) = await self.call(pb.Call(next_schedule=True))
        return reply.count if reply.HasField("count") else None

    async def put_token(self, token: TokenRow) -> None:
        """Always raises `UsageError`: tokens are an administrator's, and not a worker's."""
        raise UsageError("tokens are made with `aeterna token create --server`, not by a worker")

    async def delete_token(self, hash_: bytes) -> bool:
        """Always raises `UsageError`, as `put_token`."""
        raise UsageError("tokens are revoked with `aeterna token revoke --server`, not by a worker")

    async def list_tokens(self) -> list[TokenRow]:
        """Always raises `UsageError`, as `put_token`."""
        raise UsageError("tokens are listed with `aeterna token list --server`, not by a worker")

    # What the server does by itself.

    async def expire_sessions(self, now_us: int) -> list[int]:
        """None here: the server ends sessions."""
        return []

    async def next_wake(self) -> int | None:
        """None here: the server pushes what is due."""
        return None

    async def poisoned(self, limit: int) -> list[RunRow]:
        """None here: the server sets them aside."""
        return []
