"""Deletes runs that ended long ago, and forgets what counts nothing any more."""

from __future__ import annotations

import logging
from typing import Protocol

from aeterna.durable.stores.contract import Store
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import StoreError

log = logging.getLogger("aeterna.engine")

DELETE_BATCH = 500
FORGET_BATCH = 10_000
FORGET_AFTER_US = 7 * 86_400_000_000
"""So long ended sessions can be looked up, and the shares of a queue remember whose turn it was."""
FORGET_EVERY_S = 3_600.0


class RetentionOptions(Protocol):
    """For how long ended runs are kept, and how often that is looked at."""

    @property
    def retention_us(self) -> int | None:
        """None: for ever."""
        ...

    @property
    def retention_check_s(self) -> float:
        """Between two looks."""
        ...


async def serve_retention(store: Store, clock: Clock, options: RetentionOptions) -> None:
    """Delete what is older than the options say and forget what counts nothing, again and again; ends by
    cancellation."""
    while True:
        has_more = False
        try:
            has_more = await _delete_old(store, clock.now_us(), options.retention_us)
        except StoreError as error:
            log.error("retention failed, will try again: %s", error, extra={"action": "retention_failed"})
        if not has_more:
            await sleep(FORGET_EVERY_S if options.retention_us is None else options.retention_check_s)


async def _delete_old(store: Store, now_us: int, retention_us: int | None) -> bool:
    """One batch; True if there may be more."""
    forgotten = await store.forget(now_us - FORGET_AFTER_US, FORGET_BATCH)
    deleted = 0
    if retention_us is not None:
        deleted = await store.delete_finished(now_us - retention_us, DELETE_BATCH)
    if deleted:
        log.info("deleted %d finished runs", deleted, extra={"action": "retention"})
    return deleted >= DELETE_BATCH or forgotten >= FORGET_BATCH
