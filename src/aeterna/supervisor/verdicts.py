"""The report of a service's handover under way, from its beginning to its verdict, and the hooks that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeterna.config.spec import CheckSpec, ServiceSpec
from aeterna.supervisor.checks import run_checks
from aeterna.supervisor.control.contract import ReloadResult, result_of_failure
from aeterna.supervisor.core.vocabulary import PHASES, State
from aeterna.supervisor.reports import Report
from aeterna.supervisor.starting import Starting

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service

TAIL_LINES = 20
_GOING_BACK = frozenset({State.ABORT, State.ROLLBACK, State.STARTING, State.RUNNING, State.STOPPING})


class Verdicts:
    """Writes one service's reports."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def open(self) -> None:
        """A handover has begun."""
        service = self._service
        service.report = service.house.reports.open(
            Report(
                id=f"{service.name}-{service.machine.txn}",
                service=service.name,
                txn=service.machine.txn,
                requested_by=service.requested_by,
                note=service.note,
                from_generation=service.machine.old,
                started_us=service.house.clock.now_us(),
            )
        )

    def enter(self, before: State, state: State, took_ms: float) -> None:
        """The handover is in another state."""
        service = self._service
        report = service.report
        if report is None or report.result is not None:
            return
        service.house.metrics.observe_phase(service.name, PHASES[before], took_ms / 1000)
        report.enter(state.name, service.house.clock.now_us())
        report.to_generation = service.machine.new or report.to_generation

    def note_serving(self) -> None:
        """The new generation was given connections for the first time."""
        report = self._service.report
        if report is not None and not report.serving_ms:
            report.serving_ms = report.duration_ms(self._service.house.clock.now_us())

    def note_tail(self, generation: int) -> None:
        """Keep the last lines of the generation that failed."""
        service = self._service
        if service.report is not None and not service.report.tail:
            lines = service.house.logs.tail(service.name, generation, TAIL_LINES)
            service.report.tail = [line.text for line in lines]

    def close(self, result: ReloadResult) -> None:
        """The verdict is known."""
        service = self._service
        report, now_us = service.report, service.house.clock.now_us()
        reason = service.machine.reason if result is not ReloadResult.SUCCEEDED else ""
        if report is None or not service.house.reports.close(report, result, reason, now_us):
            return
        last = report.phases[-1].name if report.phases else ""
        service.house.metrics.reload_ended(service.name, str(result), report.duration_ms(now_us) / 1000, last)
        service.tell(f"reload {report.id} {result} {reason}".rstrip(), report.to_generation)
        service.house.emit(
            "reload.finished",
            {"service": service.name, "reload": report.id, "result": str(result), "reason": reason},
        )

    def of_failure(self) -> ReloadResult:
        """The verdict on a reload that went back, by the phase it had reached."""
        phases = self._service.report.phases if self._service.report else []
        reached = [State[each.name] for each in phases if each.name in State.__members__]
        last = next((state for state in reversed(reached) if state not in _GOING_BACK), State.PREFLIGHT)
        return result_of_failure(last)

    # --- commands ----------------------------------------------------------------------------------------------------

    async def run(self, spec: ServiceSpec, checks: tuple[CheckSpec, ...]) -> str:
        """Run commands; returns what went wrong in one that blocks, or nothing."""
        service = self._service
        token = Starting(service).fresh_token()
        env = {**service.house.environ, **spec.env, "AETERNA_SERVICE": spec.name, **self._environment()}
        outcomes = await run_checks(checks, env, token=token, cwd=spec.cwd)
        for check, outcome in zip(checks, outcomes, strict=False):
            if outcome.is_well:
                continue
            service.tell(f"{check.name!r}: {outcome.problem}\n{outcome.output}".rstrip())
            if service.report is not None:
                service.report.tail = outcome.output.splitlines()[-TAIL_LINES:]
            if check.block_on_fail:
                return f"{check.name!r}: {outcome.problem}"
        return ""

    async def run_hooks(self, spec: ServiceSpec, hooks: tuple[CheckSpec, ...]) -> None:
        """Run what the configuration wants to happen after a verdict."""
        if hooks:
            await self.run(spec, hooks)

    def _environment(self) -> dict[str, str]:
        report = self._service.report
        if report is None:
            return {}
        return {"AETERNA_RELOAD": report.id, "AETERNA_RESULT": report.result or "", "AETERNA_REASON": report.reason}
