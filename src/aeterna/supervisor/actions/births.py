"""From the request to a process that can serve: checks, starts, readiness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeterna.config.spec import ServiceSpec
from aeterna.kernel.errors import AeternaError
from aeterna.supervisor.actions.tables import FailedError
from aeterna.supervisor.core.vocabulary import Action
from aeterna.supervisor.instances import Instance
from aeterna.supervisor.readiness import Readiness
from aeterna.supervisor.starting import Starting

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service


class Births:
    """Begins handovers and starts processes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._starting = Starting(service)
        self.does = {
            Action.BEGIN: lambda _: service.verdicts.open(),
            Action.START_OLD: lambda generation: self._start_cold(generation, service.good),
            Action.START_FRESH: self._start_fresh,
        }
        self.asks = {
            Action.RUN_CHECKS: self._run_checks,
            Action.SPAWN_NEW: self._spawn_new,
            Action.AWAIT_READY: self._await_ready,
        }

    async def _run_checks(self, _: int) -> None:
        service = self._service
        spec = service.wanted
        try:
            service.opened = service.traffic.open(spec.sockets)
        except AeternaError as error:
            raise FailedError(f"bind_failed: {error}") from error
        self._starting.keep_listeners(service.opened)
        failed = await service.verdicts.run(spec, spec.pre_flight)
        if failed:
            raise FailedError(f"preflight_failed: {failed}")

    def _start_fresh(self, generation: int) -> None:
        """Nothing serves, so there is nothing to go back to: the wanted version is the good one from now on."""
        service = self._service
        if service.wanted != service.good:
            service.previous, service.good = service.good, service.wanted
        self._start_cold(generation, service.good)

    def _start_cold(self, generation: int, spec: ServiceSpec) -> None:
        service = self._service
        # One that gets stored memory must not serve before it has it, just like a candidate.
        role = "candidate" if service.moving.reserve_stored() else "active"
        instance = self._starting.prepare(generation, spec, role=role, colour=self._starting.cold_colour())
        service.traffic.steer(100 if instance.colour else 0, instance.colour)
        service.in_background(self._start(instance))

    async def _start(self, instance: Instance) -> None:
        try:
            opened = self._service.traffic.open(instance.spec.sockets)
            self._starting.keep_listeners(opened)
            if opened:
                await self._service.traffic.verify()
            await self._starting.spawn(instance)
        except (AeternaError, OSError) as error:
            instance.spawn_problem = str(error)
        finally:
            if instance.child is None:
                # Whoever waits for it must hear of it, whatever went wrong.
                instance.spawn_problem = instance.spawn_problem or "internal error: the log has more"
                instance.spawned.set()

    async def _spawn_new(self, generation: int) -> None:
        service = self._service
        colour = self._starting.other_colour()
        instance = self._starting.prepare(generation, service.wanted, role="candidate", colour=colour)
        # The probes go to the candidate; everybody else does not, yet.
        service.traffic.steer(0 if colour else 100, colour)
        await service.traffic.tend(frozenset({0, 1}))
        try:
            await self._starting.spawn(instance)
        except (AeternaError, OSError) as error:
            instance.spawn_problem = str(error)
            raise FailedError(f"spawn_failed: {error}") from error

    async def _await_ready(self, generation: int) -> None:
        service = self._service
        instance = service.instances[generation]
        await instance.spawned.wait()
        if instance.spawn_problem:
            raise FailedError(f"spawn_failed: {instance.spawn_problem}")
        await Readiness(service, instance).wait()
        service.tell(f"ready ({instance.ready_by})", generation)
        if generation == service.machine.old:
            await service.moving.restore_stored(instance)
