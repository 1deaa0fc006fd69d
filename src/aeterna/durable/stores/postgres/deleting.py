"""Deleting runs with their families, each call as one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aeterna.durable.stores.postgres.connections import Session
from aeterna.durable.stores.postgres.rows import to_db

_TIMEOUT_S = 120.0


async def delete_runs(session: Session, namespace: int, run_ids: Sequence[str]) -> int:
    """See `Store.delete_runs`; the events go at once."""
    async with session.transaction():
        ids = [to_db(run_id) for run_id in run_ids]
        found = await session.rows("deletable", namespace, ids, timeout_s=_TIMEOUT_S)
        return await _delete(session, namespace, [key for (key,) in found], lambda _: False)


async def delete_finished(
    session: Session, namespace: int, before_us: int, limit: int, will_be_dropped: Callable[[int], bool]
) -> int:
    """See `Store.delete_finished`; the events of days that ``will_be_dropped`` are left to that."""
    async with session.transaction():
        found = await session.rows("finished_before", namespace, before_us, limit, timeout_s=_TIMEOUT_S)
        return await _delete(session, namespace, [key for (key,) in found], will_be_dropped)


async def forget(session: Session, namespace: int, before_us: int, limit: int) -> int:
    """See `Store.forget`."""
    ended = await session.rows("forget_sessions", namespace, before_us, limit, timeout_s=_TIMEOUT_S)
    served = await session.rows("forget_shares", namespace, before_us, limit, timeout_s=_TIMEOUT_S)
    return len(ended) + len(served)


async def _delete(session: Session, namespace: int, keys: list[int], are_left: Callable[[int], bool]) -> int:
    if not keys:
        return 0
    gone = await session.rows("delete_families", namespace, keys, timeout_s=_TIMEOUT_S)
    now = [(day, key) for key, day in gone if not are_left(day)]
    if now:
        days, runs = zip(*now, strict=True)
        await session.rows("delete_events", list(days), list(runs), timeout_s=_TIMEOUT_S)
    return len(gone)
