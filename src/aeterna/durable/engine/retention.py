"""Deletes runs that ended long ago."""

from __future__ import annotations

import logging

from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.stores.contract import Store
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import StoreError

log = logging.getLogger("aeterna.engine")

DELETE_BATCH = 500


async def serve_retention(store: Store, clock: Clock, options: EngineOptions) -> None:
    """Delete what is older than ``options.retention_us``, for ever; ends by cancellation, or at once if all is kept."""
    while options.retention_us is not None:
        deleted = 0
        try:
            deleted = await store.delete_finished(clock.now_us() - options.retention_us, DELETE_BATCH)
        except StoreError as error:
            log.error("retention failed, will try again: %s", error, extra={"action": "retention_failed"})
        if deleted:
            log.info("deleted %d finished runs", deleted, extra={"action": "retention"})
        if deleted < DELETE_BATCH:
            await sleep(options.retention_check_s)
