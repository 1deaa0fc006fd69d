"""The sessions of the workers that are connected to this process.

A session lives by its lease, which the worker itself has renewed: a worker that is stopped, or cut off, says nothing,
and its session expires though its connection may still stand. A worker whose connection ends without a goodbye is dead
as far as anybody can tell, and its session ends at once; one that reconnects in time, because a server went away, goes
on with its session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from aeterna.durable.engine.coordinator.about import about_of
from aeterna.durable.engine.coordinator.attached import Attached, Held, Outlet
from aeterna.durable.stores.contract import ANY, Choice, Notice, NoticeKind, Store
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import StoreError

log = logging.getLogger("aeterna.sessions")

LOST = Notice(NoticeKind.LOST)


class Introduction(NamedTuple):
    """What a worker says of itself."""

    host: str
    pid: int
    name: str
    about: str
    lease_us: int
    choice: Choice = ANY


class Sessions:
    """Those of one namespace."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._attached: dict[int, Attached] = {}
        self._holders: dict[str, Attached] = {}
        self._by_key: dict[int, Attached] = {}
        self._renewals: list[tuple[Attached, asyncio.Future[bool]]] = []
        self._is_renewing = False
        self._is_leaving = False

    def __iter__(self) -> Iterator[Attached]:
        return iter(self._attached.values())

    def __len__(self) -> int:
        return len(self._attached)

    def holder(self, run_id: str) -> Attached | None:
        """The session here that holds the run."""
        return self._holders.get(run_id)

    def run_of(self, key: int) -> str | None:
        """The id of a run that some session here holds."""
        attached = self._by_key.get(key)
        return None if attached is None else attached.held[key].id

    def find(self, number: int) -> Attached | None:
        """The session of that number, if it is here."""
        return self._attached.get(number)

    # Coming and going.

    async def open(self, who: Introduction, outlet: Outlet) -> Attached:
        """Open a session; raises the store's error."""
        now_us = self._clock.now_us()
        number = await self._store.open_session(
            now_us, who.host, who.pid, lease_us=who.lease_us, name=who.name, about=who.about
        )
        return self._attach(number, who, outlet, now_us + who.lease_us)

    async def resume(
        self, number: int, held: Mapping[int, Held] | None, who: Introduction, outlet: Outlet
    ) -> Attached | None:
        """Go on with a session; None if it is over. ``held``: the only runs that the worker still holds, None = all
        that the session has."""
        expires_us = self._clock.now_us() + who.lease_us
        if not await self._store.renew_sessions([number], expires_us):
            return None
        old = self._attached.get(number)
        if old is not None:
            self._forget(old)
        attached = self._attach(number, who, outlet, expires_us)
        if held is None:
            return attached
        for key, run in held.items():
            self.hold(attached, key, run.id, run.parent)
        await self._store.release_runs(number, list(held), at_us=self._clock.now_us())
        return attached

    def _attach(self, number: int, who: Introduction, outlet: Outlet, expires_us: int) -> Attached:
        attached = Attached(number, who.lease_us, outlet, who.choice, about_of(who.about).room)
        attached.expires_us = expires_us
        self._attached[number] = attached
        log.info("session %d of %s is here", number, who.name or who.host, extra={"action": "session_attached"})
        return attached

    async def detach(self, attached: Attached, *, died: bool) -> None:
        """The worker's connection ended, by a goodbye or not. Where this process is about to end, the session lives on:
        its worker finds another server, or this one again."""
        if self._attached.get(attached.number) is not attached:
            return
        self._forget(attached)
        if self._is_leaving and died:
            return
        try:
            await self._store.close_session(attached.number, self._clock.now_us(), died=died)
        except StoreError as error:
            # Its lease ends it.
            log.warning("session %d: %s", attached.number, error, extra={"action": "close_session"})

    def leave(self) -> None:
        """Nothing here ends a session any more: this process is about to end, and its workers are not."""
        self._is_leaving = True
        for attached in self._attached.values():
            attached.outlet.leave()

    def lose(self, numbers: Iterable[int]) -> None:
        """These sessions are over; tell those of their workers that are here."""
        for number in numbers:
            attached = self._attached.get(number)
            if attached is not None:
                log.warning("session %d is over", number, extra={"action": "session_expired"})
                self._forget(attached)
                attached.outlet.tell(LOST)

    def _forget(self, attached: Attached) -> None:
        attached.is_over = True
        attached.room = 0
        self._attached.pop(attached.number, None)
        for key in list(attached.held):
            self._drop(attached, key)

    # What they hold.

    def hold(self, attached: Attached, key: int, run_id: str, parent: str | None) -> None:
        """The session has this run now, and no other one."""
        self.let_go(key)
        attached.held[key] = Held(run_id, parent, attached.number)
        self._by_key[key] = attached
        self._holders[run_id] = attached

    def let_go(self, key: int) -> Held | None:
        """No session has this run any more; returns what it was, if one here had it."""
        attached = self._by_key.get(key)
        return None if attached is None else self._drop(attached, key)

    def _drop(self, attached: Attached, key: int) -> Held:
        run = attached.held.pop(key)
        del self._by_key[key]
        if self._holders.get(run.id) is attached:
            del self._holders[run.id]
        return run

    # Leases.

    async def renew(self, attached: Attached) -> bool:
        """Prolong the lease; False if the session is over. All that ask at the same time share one write."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._renewals.append((attached, future))
        if not self._is_renewing:
            self._is_renewing = True
            try:
                await self._renew_all()
            finally:
                self._is_renewing = False
        return await future

    async def _renew_all(self) -> None:
        while self._renewals:
            batch, self._renewals = self._renewals, []
            try:
                alive = await self._renew_batch([attached for attached, _ in batch])
            except StoreError as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for attached, future in batch:
                if not future.done():
                    future.set_result(attached.number in alive and not attached.is_over)

    async def _renew_batch(self, batch: list[Attached]) -> set[int]:
        now_us = self._clock.now_us()
        alive: set[int] = set()
        for lease_us in {attached.lease_us for attached in batch}:
            numbers = [attached.number for attached in batch if attached.lease_us == lease_us]
            alive.update(await self._store.renew_sessions(numbers, now_us + lease_us))
        for attached in batch:
            if attached.number in alive:
                attached.expires_us = now_us + attached.lease_us
        return alive

    def next_expiry(self, after_us: int) -> int | None:
        """When the first lease of a session here is over, of those that are not over by ``after_us``."""
        return min((one.expires_us for one in self if one.expires_us > after_us), default=None)
