"""How processes leave: drained, stopped or killed. The end itself is an event, which comes from the keeper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeterna.kernel.clock import sleep
from aeterna.supervisor.actions.tables import Ask
from aeterna.supervisor.core.vocabulary import Action, Kind
from aeterna.supervisor.instances import Instance

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service

DRY_MS_MAX = 1_000
"""How long an accept queue may take to empty before its generation is told to leave all the same."""


class Departures:
    """Ends processes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.does = {
            Action.VACATE_OLD: lambda generation: self._let_go(generation, drains=True),
            Action.DRAIN_OLD: lambda generation: self._let_go(generation, drains=True),
            Action.STOP_ALL: self._stop_all,
            Action.KILL_ALL: lambda _: service.kill(),
            Action.KILL_OLD: self._kill_old,
            Action.KILL_NEW: self._kill_new,
        }
        self.asks: dict[Action, Ask] = {}

    def _stop_all(self, _: int) -> None:
        service = self._service
        service.stop_watching()
        for instance in service.instances.values():
            if instance.is_retired:
                service.in_background(self._leave(instance, drains=False))
        for generation in {service.machine.old, service.machine.new} - {0}:
            self._let_go(generation, drains=False)
        if not (service.machine.old or service.machine.new):
            service.say(Kind.OK)

    def _let_go(self, generation: int, *, drains: bool) -> None:
        instance = self._service.instances.get(generation)
        if instance is None or not instance.may_live:
            self._service.in_background(self._never_was(generation))
        else:
            self._service.in_background(self._leave(instance, drains=drains))

    async def _never_was(self, generation: int) -> None:
        """There is no process whose end could be reported, so this is its end."""
        service = self._service
        instance = service.instances.get(generation)
        if instance is not None:
            service.ended(instance, None)
        elif generation == service.machine.old:
            service.say(Kind.OLD_DIED, "it never ran")
        elif generation == service.machine.new:
            service.say(Kind.NEW_DIED, "it never ran")

    async def _leave(self, instance: Instance, *, drains: bool) -> None:
        """The order of a drain: no new connections, an empty queue, the lame duck, TERM, and KILL at the end."""
        service = self._service
        await instance.spawned.wait()
        if drains:
            await service.traffic.dry(instance.colour, DRY_MS_MAX)
            if not await service.moving.lame_duck(instance, service.machine.txn) and self._gets_no_more(instance):
                # It cannot tell its clients, but those that have just connected will have asked by then.
                await sleep(instance.spec.drain.lame_duck_ms / 1000)
        instance.accepts = False
        service.tend()
        if instance.is_alive:
            await service.moving.release(instance, service.machine.txn)
            await instance.end(instance.spec.drain.timeout_ms if drains else instance.spec.stop_grace_ms)
        elif not instance.gone.is_set():
            service.ended(instance, None)

    def _gets_no_more(self, instance: Instance) -> bool:
        """Whether all new connections go to the other generation."""
        traffic = self._service.traffic
        return bool(traffic.listeners) and traffic.can_steer and not traffic.share(instance.colour)

    def _kill_old(self, generation: int) -> None:
        service = self._service
        instance = service.instances.get(generation)
        if instance is None or not instance.may_live:
            service.in_background(self._never_was(generation))
            return
        instance.is_retired = instance.is_retired or generation != service.machine.old
        if instance.is_alive:
            instance.kill()
        else:
            service.in_background(self._kill_when_spawned(instance))

    async def _kill_when_spawned(self, instance: Instance) -> None:
        """Its start is under way, so there is no process yet that could be killed."""
        await instance.spawned.wait()
        if instance.is_alive:
            instance.kill()
        elif not instance.gone.is_set():
            self._service.ended(instance, None)

    def _kill_new(self, generation: int) -> None:
        """It goes back; if connections were given to it, it may finish them."""
        service = self._service
        instance = service.instances.get(generation)
        if instance is None:
            return
        service.verdicts.note_tail(generation)
        instance.is_retired = True
        instance.accepts = False
        if instance.may_live:
            has_served = bool(service.report and service.report.serving_ms)
            service.in_background(self._leave(instance, drains=has_served))
        else:
            service.in_background(self._never_was(generation))
