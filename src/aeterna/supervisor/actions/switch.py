"""From one generation to the other: memory, the lease, and the weights."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aeterna.supervisor.actions.tables import FailedError
from aeterna.supervisor.core.vocabulary import Action
from aeterna.supervisor.instances import Instance

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service


class Switch:
    """Moves memory, the lease and connections."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.does = {
            Action.STEER_OLD: self._steer_old,
            Action.STEER_NEW: lambda generation: self._steer(generation, 100),
            Action.STEER_STEP: self._steer_step,
            Action.STEER_BY_HAND: lambda generation: self._steer(generation, service.weight_by_hand),
        }
        self.asks = {
            Action.ASK_PRECOPY: self._precopy,
            Action.ASK_QUIESCE: self._quiesce,
            Action.ASK_SNAPSHOT: self._snapshot,
            Action.ASK_RESTORE: self._restore,
            Action.JOURNAL: self._journal,
            Action.GRANT_NEW: self._grant_new,
            Action.GRANT_OLD: self._grant_old,
            Action.ACCEPT_NEW: self._accept,
            Action.FENCE_NEW: self._fence,
            Action.RESUME_OLD: self._resume,
        }

    # --- memory ------------------------------------------------------------------------------------------------------

    async def _precopy(self, _: int) -> None:
        moving = self._service.moving
        old, new = self._both()
        await moving.require(old, new)
        txn = self._service.machine.txn
        await asyncio.gather(moving.precopy(old, new, txn), moving.lame_duck(old, txn))

    async def _quiesce(self, _: int) -> None:
        old, _new = self._both()
        await self._service.moving.quiesce(old, self._service.machine.txn)

    async def _snapshot(self, _: int) -> None:
        old, new = self._both()
        await self._service.moving.snapshot(old, new, self._service.machine.txn)

    async def _restore(self, generation: int) -> None:
        service = self._service
        size = await service.moving.restore(service.instances[generation], service.machine.txn)
        if service.report is not None:
            service.report.state_bytes = size
        service.house.metrics.observe_handoff(service.name, size)

    def _both(self) -> tuple[Instance, Instance]:
        old, new = self._service.old, self._service.new
        if old is None or new is None:
            raise FailedError("one of the two generations is gone")
        return old, new

    # --- the switch --------------------------------------------------------------------------------------------------

    async def _journal(self, _: int) -> None:
        await self._service.house.saved()

    async def _grant_new(self, generation: int) -> None:
        service = self._service
        old, txn = service.old, service.machine.txn
        if old is not None and service.policy.moves_state:
            await service.moving.retire(old, txn)
            old.accepts = False
        elif old is not None:
            # One that does not answer is no reason to wait.
            await service.moving.revoke(old, txn)
        await service.moving.grant(service.instances[generation], service.machine.txn)

    async def _grant_old(self, _: int) -> None:
        service = self._service
        if service.old is not None:
            await service.moving.grant(service.old, service.machine.txn)

    async def _accept(self, generation: int) -> None:
        service = self._service
        await service.moving.accept(service.instances[generation], service.machine.txn)
        service.verdicts.note_serving()

    async def _fence(self, generation: int) -> None:
        """The new generation must not change state any more. One that does not obey at once is fenced by its end."""
        service = self._service
        new = service.instances.get(generation)
        if new is None or not new.is_alive:
            return
        txn = service.machine.txn
        if service.policy.moves_state:
            new.accepts = False
            # What it has instead of the old one's memory must not replace that.
            heir = None if service.machine.is_cold else service.old
            obeys = await service.moving.fence(new, heir, txn)
        else:
            obeys = await service.moving.revoke(new, txn)
        if not obeys:
            service.tell("it does not leave its role, and is killed", generation)
            new.kill()

    async def _resume(self, generation: int) -> None:
        service = self._service
        old = service.instances.get(generation)
        if old is None or not old.is_alive:
            raise FailedError("the old generation is gone")
        await service.moving.resume(old, service.machine.txn)
        old.accepts = True

    # --- weights -----------------------------------------------------------------------------------------------------

    def _steer_old(self, generation: int) -> None:
        old = self._service.instances.get(generation)
        if old is not None:
            self._service.traffic.steer(100 if old.colour else 0, old.colour)

    def _steer_step(self, generation: int) -> None:
        service = self._service
        self._steer(generation, service.policy.weights[service.machine.step])
        if service.watch is not None:
            service.watch.forget()

    def _steer(self, generation: int, percent: int) -> None:
        service = self._service
        new = service.instances.get(generation)
        if new is not None:
            service.traffic.steer(percent if new.colour else 100 - percent, new.colour)
            service.house.metrics.set_weight(service.name, generation, percent)
