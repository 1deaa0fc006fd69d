"""The engine's session in its store: opened, renewed where it has a lease, and opened anew when it is lost."""

from __future__ import annotations

import json
import logging
import os
import socket
from typing import TYPE_CHECKING

from aeterna.durable.engine.background import as_callback
from aeterna.durable.engine.journal import RETRY_FIRST_S, RETRY_LONGEST_S
from aeterna.durable.engine.lease import Lease
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreError

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine

log = logging.getLogger("aeterna.engine")

RENEWALS_PER_LEASE = 3
TRIES_PER_LEASE = 20
"""So often it is tried again, once it could not be renewed."""
LEASE_US = 10_000_000
"""Where neither this process nor a server was told another one."""


class Tenure:
    """``session``: its number. ``lease``: None in a store that this process holds alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.session = 0
        duration_us = engine.options.lease_us
        self.lease = Lease(engine.clock, duration_us or LEASE_US) if engine.store.is_shared else None

    async def open(self) -> None:
        """Open a session; raises the store's error if that fails."""
        engine, lease = self._engine, self.lease
        now_us = engine.clock.now_us()
        host, pid = socket.gethostname(), os.getpid()
        if lease is None:
            self.session = await engine.store.open_session(now_us, host, pid)
            return
        asked_us = engine.clock.monotonic_us()
        name, about = engine.options.worker_name, self._about()
        # A store that is a server gives leases of its own choice, unless it is asked for one.
        wanted_us = lease.duration_us if engine.store.lease_us is None else engine.options.lease_us
        self.session = await engine.store.open_session(now_us, host, pid, lease_us=wanted_us, name=name, about=about)
        lease.duration_us = engine.store.lease_us or lease.duration_us
        lease.renewed(asked_us)

    async def close(self) -> None:
        """Give everything back; a store that cannot do it now finds out by itself."""
        try:
            await self._engine.store.close_session(self.session, self._engine.clock.now_us())
        except StoreError as error:
            log.warning("session %d could not be closed: %s", self.session, error, extra={"action": "close_session"})

    async def serve(self) -> None:
        """Renew the lease for ever; ends by cancellation. At once without a lease."""
        lease, tries = self.lease, RENEWALS_PER_LEASE
        while lease is not None:
            await sleep(lease.duration_us / 1e6 / tries)
            try:
                await self._renew(lease)
                tries = RENEWALS_PER_LEASE
            except StoreError as error:
                # Steps may be waiting for it.
                tries = TRIES_PER_LEASE
                log.error("the lease could not be renewed: %s", error, extra={"action": "renew_failed"})

    async def _renew(self, lease: Lease) -> None:
        engine, session = self._engine, self.session
        asked_us = engine.clock.monotonic_us()
        alive = await engine.store.renew_sessions([session], engine.clock.now_us() + lease.duration_us)
        if session != self.session:
            return
        if session not in alive:
            await self.lost()
            return
        was_over = not lease.holds()
        lease.renewed(asked_us)
        if was_over:
            await as_callback(engine.go_on)

    async def lost(self) -> None:
        """The session is over: what it held is not this process's any more. A new one goes on."""
        session, lease = self.session, self.lease
        if lease is None:
            return
        log.warning("session %d is over; its runs go on elsewhere", session, extra={"action": "session_lost"})
        lease.end()
        async with self._engine.claims.exclusive:
            if session != self.session:
                return
            await as_callback(self._engine.drop_all)
            await self._open_again()
        self._engine.claims.look()

    async def _open_again(self) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                await self.open()
            except StoreError as error:
                log.error("no new session yet, will try again: %s", error, extra={"action": "session_lost"})
                await sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_LONGEST_S)
            else:
                return

    def _about(self) -> str:
        """What others may want to know of this worker, as JSON."""
        engine = self._engine
        choice = engine.claims.choice
        workflows = [list(place) for place in choice.workflows or ()]
        return json.dumps(
            {
                "workflows": workflows,
                "queues": None if choice.queues is None else list(choice.queues),
                "capabilities": list(choice.capabilities),
                "room": engine.options.limits.running_runs_max,
            }
        )
