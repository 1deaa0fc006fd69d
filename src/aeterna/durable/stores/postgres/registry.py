"""What is kept beside the runs: queues, schedules, tokens."""

from __future__ import annotations

from aeterna.durable.stores.contract import QueueRow, QueueState, Rank, RunRow, ScheduleRow, TokenRow
from aeterna.durable.stores.postgres.connections import Session
from aeterna.durable.stores.postgres.rows import from_db, to_db


async def put_queue(session: Session, namespace: int, queue: QueueRow) -> None:
    """See `Registry.put_queue`."""
    await session.rows(
        "put_queue",
        namespace,
        to_db(queue.name),
        queue.concurrency,
        queue.concurrency_per_share,
        queue.rate,
        queue.rate_period_us,
        queue.burst,
        queue.is_paused,
    )


async def list_queues(session: Session, namespace: int) -> list[QueueState]:
    """See `Registry.list_queues`."""
    states = []
    for name, *limits, pending, running, oldest_us, tat_us in await session.rows("list_queues", namespace):
        # A queue that was never put has no period either.
        queue = QueueRow(from_db(name)) if limits[3] is None else QueueRow(from_db(name), *limits)
        states.append(QueueState(queue, pending, running, oldest_us, tat_us))
    return states


async def rank(session: Session, namespace: int, run: RunRow) -> Rank:
    """See `Registry.rank`."""
    where = (to_db(run.queue), to_db(run.share), run.priority, run.key)
    ((ahead, running),) = await session.rows("rank", namespace, *where)
    return Rank(ahead, running)


async def put_schedule(session: Session, namespace: int, schedule: ScheduleRow) -> None:
    """See `Registry.put_schedule`."""
    await session.rows(
        "put_schedule",
        namespace,
        to_db(schedule.id),
        to_db(schedule.spec),
        schedule.next_us,
        schedule.is_paused,
        to_db(schedule.last_run),
    )


async def list_schedules(session: Session, namespace: int) -> list[ScheduleRow]:
    """See `Registry.list_schedules`."""
    return [
        ScheduleRow(from_db(id_), from_db(spec), next_us, is_paused, from_db(last_run))
        for id_, spec, next_us, is_paused, last_run in await session.rows("list_schedules", namespace)
    ]


async def put_token(session: Session, token: TokenRow) -> None:
    """See `Registry.put_token`."""
    await session.rows(
        "put_token", token.hash, to_db(token.namespace), to_db(token.role), token.created_us, to_db(token.note)
    )


async def list_tokens(session: Session) -> list[TokenRow]:
    """See `Registry.list_tokens`."""
    return [
        TokenRow(bytes(hash_), from_db(namespace), from_db(role), created_us, from_db(note))
        for hash_, namespace, role, created_us, note in await session.rows("list_tokens")
    ]
