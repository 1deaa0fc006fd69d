"""Whether runs wait for a limit of their queue, and until when: a store tells only when runs want to be claimed, not
when a limit lets them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from aeterna.durable.core.fairness import rate_of
from aeterna.durable.core.gcra import next_start_us
from aeterna.durable.stores.contract import QueueState


class Queues(Protocol):
    """A store, as far as it is asked here."""

    async def list_queues(self) -> list[QueueState]:
        """See `Registry.list_queues`."""
        ...


class QueueWaits(NamedTuple):
    """``is_limited``: runs wait in queues, so the end of any run may let one start; ``next_us``: when a rate lets the
    next one start, None = no rate keeps one."""

    is_limited: bool
    next_us: int | None


async def queue_waits(queues: Queues, now_us: int) -> QueueWaits:
    """How it stands; to be asked after a claim that found less than there was room for."""
    waiting = [state for state in await queues.list_queues() if state.pending and not state.queue.is_paused]
    times = [
        next_start_us(rate, state.tat_us, now_us) for state in waiting if (rate := rate_of(state.queue)) is not None
    ]
    return QueueWaits(bool(waiting), min((time for time in times if time > now_us), default=None))
