"""Ending a run from outside, without its code seeing it."""

from __future__ import annotations

from typing import Protocol

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    FullStore,
    Head,
    Notice,
    NoticeKind,
    Outcome,
    RunRow,
    Write,
)
from aeterna.kernel.clock import Clock


class Desk(Protocol):
    """One namespace, as its coordinator, its engine or whoever has a world of it keeps it."""

    @property
    def store(self) -> FullStore: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def session(self) -> int: ...
    async def commit(self, write: Write) -> Outcome: ...
    def announce(self, *notices: Notice) -> None: ...


async def end_by_force(desk: Desk, run_id: str, reason: str) -> bool:
    """End a run here and now, whoever has it; its worker is told, and finds its writes refused. False if it had ended,
    or somebody claimed it in the same moment."""
    claimed = await desk.store.claim_run(desk.session, run_id, by_force=True)
    return claimed is not None and await _end(desk, claimed, reason)


async def end_unbegun(desk: Desk, run_id: str, reason: str) -> bool:
    """End a run that nobody has begun. False if somebody has, or had it in the same moment: its code is to be asked."""
    claimed = await desk.store.claim_run(desk.session, run_id)
    if claimed is None:
        return False
    if claimed.state is State.PENDING:
        return await _end(desk, claimed, reason)
    head = Head(claimed.state, claimed.detail, claimed.wake_us, release=True, note=claimed.note)
    await desk.commit(Append(claimed.key, claimed.epoch, claimed.length, (), desk.clock.now_us(), head))
    return False


async def _end(desk: Desk, claimed: RunRow, reason: str) -> bool:
    now_us = desk.clock.now_us()
    end, head = (ev.RunCancelled(now_us, reason),), Head(State.CANCELLED, Detail.NONE)
    outcome = await desk.commit(Append(claimed.key, claimed.epoch, claimed.length, end, now_us, head))
    if not isinstance(outcome, Appended):
        return False
    desk.announce(Notice(NoticeKind.ENDED, claimed.id))
    return True
