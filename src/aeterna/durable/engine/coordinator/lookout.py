"""The regular look at the store of one namespace.

Notices say at once what happened elsewhere, and may be lost; so once a second everything they would have said is looked
for. Sessions whose lease is over are looked for twice as often, and at the very moment where it is known here: their
runs wait for that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aeterna.durable.stores.contract import Notice, NoticeKind
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreError

if TYPE_CHECKING:
    from aeterna.durable.engine.coordinator.desk import NamespaceDesk

log = logging.getLogger("aeterna.desk")

EXPIRIES_PER_LOOK = 2
CLOCK_US = 1_000
"""A lease is over when it is over by the clock of whoever ends it."""


class DeskLookout:
    """That of one desk."""

    def __init__(self, desk: NamespaceDesk) -> None:
        self._desk = desk

    async def serve(self) -> None:
        """Look for ever; ends by cancellation."""
        desk = self._desk
        pause_us = int(desk.options.look_s * 1e6) // EXPIRIES_PER_LOOK
        turn = 0
        while True:
            next_us = desk.clock.monotonic_us() + pause_us
            looked_us = desk.clock.now_us()
            try:
                await self._expire()
                if turn % EXPIRIES_PER_LOOK == 0:
                    await self._look()
            except StoreError as error:
                log.warning("%s could not be looked at: %s", desk.name, error, extra={"action": "look_failed"})
            while (left_us := next_us - desk.clock.monotonic_us()) > 0:
                looked_us = await self._pause(left_us, looked_us)
            turn += 1

    async def _pause(self, left_us: int, looked_us: int) -> int:
        """Wait for so long, or until a lease is over that was not when it was ``looked_us``, and see to that. Returns
        when that was."""
        now_us = self._desk.clock.now_us()
        expires_us = self._desk.sessions.next_expiry(looked_us)
        if expires_us is None or expires_us - now_us > left_us:
            await sleep(left_us / 1e6)
            return looked_us
        await sleep(max(0, expires_us + CLOCK_US - now_us) / 1e6)
        looked_us = self._desk.clock.now_us()
        try:
            await self._expire()
        except StoreError as error:
            log.warning("leases could not be looked at: %s", error, extra={"action": "look_failed"})
        return looked_us

    async def _expire(self) -> None:
        if await self._desk.reclaimer.expire():
            # Perhaps only the workers of other servers have room.
            self._desk.claimable()

    async def _look(self) -> None:
        desk = self._desk
        await desk.renew()
        await desk.reclaimer.park(desk.session)
        if desk.store.is_shared:
            await desk.waiters.look()
            await self._look_for_mail()
            desk.dispatch.look()
        await desk.dispatch.balancer.look()

    async def _look_for_mail(self) -> None:
        desk = self._desk
        for attached in [one for one in desk.sessions if one.held]:
            for run_id in await desk.store.unread(attached.number):
                attached.outlet.tell(Notice(NoticeKind.INBOX, run_id))
