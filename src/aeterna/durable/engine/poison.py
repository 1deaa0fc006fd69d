"""Runs that kill the processes which execute them: set aside, with the reason, until somebody resumes them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aeterna.durable.core.states import Detail
from aeterna.durable.stores.contract import NEVER_US, Append, Head

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine

log = logging.getLogger("aeterna.engine")

RUNS_PER_LOOK = 100


async def set_poison_aside(engine: Engine) -> None:
    """Say in the row of each such run why nobody takes it any more."""
    for row in await engine.store.poisoned(RUNS_PER_LOOK):
        async with engine.claims.exclusive:
            claimed = await engine.store.claim_run(engine.session, row.id)
            if claimed is None:
                continue
            note = (
                f"{row.crashes} processes in a row died while they executed it; "
                f"when the reason is gone, resume it: aeterna workflow resume {row.id}"
            )
            log.error("run %s is left alone: %s", row.id, note, extra={"action": "poison", "run_id": row.id})
            head = Head(claimed.state, Detail.STUCK, NEVER_US, release=True, note=note)
            now_us = engine.clock.now_us()
            await engine.store.commit([Append(claimed.key, claimed.epoch, claimed.length, (), now_us, head)])
