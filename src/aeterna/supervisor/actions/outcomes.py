"""What follows from a verdict: reports, hooks, the versions to go back to, and who is watched now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeterna.config.spec import ProbeSpec
from aeterna.supervisor.actions.tables import Ask
from aeterna.supervisor.control.contract import ReloadResult
from aeterna.supervisor.core.health import Health
from aeterna.supervisor.core.vocabulary import Action, Kind, State
from aeterna.supervisor.host.probes import ProbeResult
from aeterna.supervisor.starting import Starting
from aeterna.supervisor.watching import Watch

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service


class Outcomes:
    """Records verdicts and watches who serves."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._starting = Starting(service)
        self.does = {
            Action.WATCH_NEW: self._watch_new,
            Action.WATCH_OLD: self._watch_old,
            Action.REPLACE_OLD: self._replaced,
            Action.SUCCEED: lambda _: self._succeed(ReloadResult.SUCCEEDED),
            Action.SUCCEED_COLD: lambda _: self._succeed(self._cold_result()),
            Action.RECORD_ABORTED: lambda _: self._went_back(service.verdicts.of_failure()),
            Action.RECORD_ROLLED_BACK: lambda _: self._went_back(ReloadResult.ROLLED_BACK),
            Action.RECORD_DEGRADED: lambda _: self._went_back(ReloadResult.DEGRADED),
            Action.COUNT_DEATH: self._count_death,
            Action.GIVE_UP: lambda _: service.tell(f"given up: {service.machine.reason}", service.machine.last),
            Action.LEAVE: lambda _: service.tell(f"ended: {service.machine.reason}", service.machine.last),
        }
        self.asks: dict[Action, Ask] = {}

    # --- watching ----------------------------------------------------------------------------------------------------

    def _watch_new(self, generation: int) -> None:
        instance = self._service.instances.get(generation)
        if instance is not None:
            self._watch(generation, instance.spec.canary.probe or instance.spec.health)

    def _watch_old(self, generation: int) -> None:
        instance = self._service.instances.get(generation)
        if instance is not None:
            self._watch(generation, instance.spec.health)

    def _watch(self, generation: int, probe: ProbeSpec | None) -> None:
        service = self._service
        instance = service.instances[generation]
        service.stop_watching()
        target = self._starting.target(instance)
        service.watch = Watch(instance, probe, target, service.house.clock, self._judged, self._told)
        service.watch.start()

    def _judged(self, health: Health, reason: str) -> None:
        kind = Kind.UNHEALTHY if health is Health.UNHEALTHY else Kind.FLAPPING
        self._service.say(kind, f"{health}: {reason}")

    def _told(self, result: ProbeResult) -> None:
        service = self._service
        is_soak = service.machine.state is not State.RUNNING
        service.house.metrics.probed(service.name, str(result.sample), is_soak=is_soak)

    # --- verdicts ----------------------------------------------------------------------------------------------------

    def _replaced(self, _: int) -> None:
        """The handover is over; sockets that only the old version had are closed."""
        service = self._service
        gone = sorted(set(service.traffic.listeners) - {spec.name for spec in service.good.sockets})
        service.traffic.close_these(gone)
        self._starting.drop_listeners(gone)
        service.opened = []
        for instance in service.instances.values():
            if instance.generation != service.machine.old:
                instance.is_retired = True

    def _succeed(self, result: ReloadResult) -> None:
        service = self._service
        service.previous, service.good = service.good, service.wanted
        service.verdicts.close(result)
        service.moving.keep_stored(service.good.state.keep_snapshot_ms)
        service.in_background(service.verdicts.run_hooks(service.wanted, service.wanted.on_success))

    def _cold_result(self) -> ReloadResult:
        """Only a service that has memory can lose it."""
        has_state = self._service.policy.moves_state or self._service.policy.shares_state
        return ReloadResult.SUCCEEDED_COLD if has_state else ReloadResult.SUCCEEDED

    def _went_back(self, result: ReloadResult) -> None:
        service = self._service
        failed = service.wanted
        service.verdicts.close(result)
        service.house.metrics.rolled_back(service.name, service.machine.reason)
        service.moving.keep_stored(service.good.state.keep_snapshot_ms)
        service.in_background(service.verdicts.run_hooks(failed, failed.on_failure))
        if result is not ReloadResult.DEGRADED:
            # The old generation has its memory. One that starts anew will need what is stored.
            service.moving.drop_stored()
        opened, service.opened = service.opened, []
        service.traffic.close_these(opened)
        self._starting.drop_listeners(opened)
        service.go_by(service.good)

    def _count_death(self, _: int) -> None:
        service = self._service
        service.restarts += 1
        service.house.metrics.restarted(service.name, service.last_exit)
        wait = f"; starts again in {service.machine.delay_ms} ms" if service.machine.delay_ms else ""
        service.tell(f"{service.last_exit}{wait}", service.machine.last)
