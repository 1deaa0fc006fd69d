"""The supervisor as its control API sees it: documents, orders, logs, metrics (`control.contract.Supervision`)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from aeterna.config.spec import ServiceSpec, Strategy
from aeterna.kernel.errors import ConfigurationError
from aeterna.supervisor import documents, reports
from aeterna.supervisor.configuring import Configuring
from aeterna.supervisor.control.contract import (
    Answer,
    LogDocument,
    Order,
    Outcome,
    ReloadReport,
    ServiceDocument,
    StatusDocument,
    Verb,
)
from aeterna.supervisor.control.events import EventRing
from aeterna.supervisor.core.vocabulary import Event, Kind, State
from aeterna.supervisor.host.logs import LogLine
from aeterna.supervisor.host.overflows import listen_overflows
from aeterna.supervisor.house import House
from aeterna.supervisor.metrics import LivingGeneration
from aeterna.supervisor.reports import Report
from aeterna.supervisor.service import Service

_KINDS = {
    Verb.RELOAD: Kind.RELOAD,
    Verb.RESTART: Kind.RESTART,
    Verb.ROLLBACK: Kind.ROLLBACK,
    Verb.PROMOTE: Kind.PROMOTE,
    Verb.CANARY: Kind.WEIGHT,
}


TURN_S = 60.0
"""How long an order waits for its turn before it is answered all the same."""


class Supervised:
    """All services of one daemon."""

    def __init__(self, house: House, configuring: Configuring, events: EventRing, stop: Callable[[], None]) -> None:
        self._house = house
        self._configuring = configuring
        self._events = events
        self._stop = stop
        self.services: dict[str, Service] = {}
        self.started_us = house.clock.now_us()
        self.is_stopping = False
        self._dropped = 0
        self._overflows = listen_overflows()

    # --- documents ---------------------------------------------------------------------------------------------------

    @property
    def events(self) -> EventRing:
        return self._events

    def is_live(self) -> bool:
        return not self.is_stopping

    def is_ready(self) -> bool:
        return bool(self.services) and all(service.is_ready for service in self.services.values())

    def status(self) -> StatusDocument:
        return documents.status_document(
            list(self.services.values()),
            config=self._configuring.plan.source,
            started_us=self.started_us,
            pids=(os.getpid(), os.getppid()),
            warnings=list(self._configuring.plan.warnings),
        )

    def service_names(self) -> tuple[str, ...]:
        return tuple(self.services)

    def service(self, name: str) -> ServiceDocument | None:
        service = self.services.get(name)
        return documents.service_document(service) if service is not None else None

    def reload_report(self, reload_id: str) -> ReloadReport | None:
        report = self._house.reports.find(reload_id)
        return reports.document(report, self._house.clock.now_us()) if report is not None else None

    def reload_ids(self) -> tuple[str, ...]:
        return self._house.reports.ids()

    async def logs(self, service: str | None, lines: int, *, is_following: bool) -> AsyncIterator[Mapping[str, Any]]:
        if not is_following:
            for line in self._house.logs.tail(service, lines=lines):
                yield _log_document(line)
            return
        async with self._house.logs.subscribe(service, lines=lines) as subscription:
            async for line in subscription:
                yield _log_document(line)

    def metrics(self) -> bytes:
        metrics = self._house.metrics
        for service in self.services.values():
            metrics.is_ready(service.name, is_ready=service.is_ready)
            shown = documents.service_document(service)["generations"]
            metrics.generations(
                service.name,
                [
                    LivingGeneration(
                        each["generation"], each["pid"] or 0, each["role"], each["memory_bytes"], each["weight"]
                    )
                    for each in shown
                ],
            )
            for listener in service.traffic.listeners.values():
                metrics.listener_backlog(service.name, listener.name, service.traffic.waiting(listener))
            metrics.straggler(service.name, service.traffic.new_stragglers())
        dropped, self._dropped = self._house.logs.dropped - self._dropped, self._house.logs.dropped
        metrics.log_lines_dropped("", dropped)
        overflows, self._overflows = listen_overflows() - self._overflows, listen_overflows()
        metrics.accept_queue_overflow("", overflows)
        metrics.orphans_reaped(self._house.keeping.orphans_reaped)
        return metrics.render()

    # --- orders ------------------------------------------------------------------------------------------------------

    async def request(self, order: Order) -> Outcome:
        outcome = await self._carry_out(order)
        self._house.metrics.operation(str(order.verb), outcome.answer.name.lower())
        return outcome

    async def _carry_out(self, order: Order) -> Outcome:
        if self.is_stopping:
            return Outcome(Answer.UNAVAILABLE, "the supervisor is stopping")
        if order.verb is Verb.STOP and order.service is None:
            self._stop()
            return Outcome(Answer.ACCEPTED, "stopping")
        names = [order.service] if order.service else list(self.services)
        if len(names) != 1:
            return Outcome(Answer.BAD, f"name one of the services: {', '.join(self.services)}")
        service = self.services[names[0]]
        match order.verb:
            case Verb.STOP:
                service.stop()
                return Outcome(Answer.ACCEPTED)
            case Verb.CANARY if not service.traffic.can_steer:
                return Outcome(Answer.BAD, "this service has a socket that cannot be split by weight")
            case Verb.PROMOTE | Verb.CANARY:
                return self._simple(service, order)
            case Verb.ROLLBACK if service.machine.state is State.SOAK:
                return self._simple(service, order)
            case Verb.ROLLBACK if service.previous is None:
                return Outcome(Answer.CONFLICT, "there is no earlier version to go back to")
            case _:
                return await self._hand_over(service, order)

    def _simple(self, service: Service, order: Order) -> Outcome:
        kind = _KINDS[order.verb]
        if service.would_refuse(kind):
            return _conflict(service, order)
        service.weight_by_hand = order.weight
        service.post(Event(kind, self._house.now_ms(), weight=order.weight, reason=f"{order.verb} by {order.caller}"))
        return Outcome(Answer.ACCEPTED, body={"id": service.report.id if service.report else ""})

    async def _hand_over(self, service: Service, order: Order) -> Outcome:
        kind = _KINDS[order.verb]
        if service.would_refuse(kind):
            return _conflict(service, order)
        if order.strategy and order.strategy not in set(Strategy):
            return Outcome(Answer.BAD, f"strategy {order.strategy!r} is none of {', '.join(Strategy)}")
        try:
            spec = await self._spec_for(service, order)
        except ConfigurationError as error:
            return Outcome(Answer.INVALID, str(error))
        if service.would_refuse(kind):
            return _conflict(service, order)
        before = service.report
        service.is_stopping = False
        service.reload(spec, kind=kind, by=str(order.caller), note=order.reason, strategy=order.strategy)
        if await self._has_begun(service, before) and service.report is not None:
            return Outcome(Answer.ACCEPTED, body={"id": service.report.id})
        return Outcome(Answer.ACCEPTED, "it begins as soon as what is under way has ended")

    async def _has_begun(self, service: Service, before: Report | None) -> bool:
        """Wait for a handover that has to wait for its turn; a cold start has no report."""
        if not service.machine.is_queued:
            return service.report is not before
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_S):
                while service.report is before:
                    await self._events.wait_after(self._events.last_id)
        return service.report is not before

    async def _spec_for(self, service: Service, order: Order) -> ServiceSpec:
        if order.verb is Verb.ROLLBACK:
            assert service.previous is not None
            return service.previous
        if order.verb is Verb.RESTART:
            return service.spec
        plan = await self._configuring.fresh()
        found = next((each for each in plan.services if each.name == service.name), None)
        if found is None:
            raise ConfigurationError(f"{plan.source} has no service {service.name!r} any more")
        if order.is_forced:
            checks = tuple(msgspec.structs.replace(each, block_on_fail=False) for each in found.pre_flight)
            return msgspec.structs.replace(found, pre_flight=checks)
        return found

    async def reload_all(self, *, by: str) -> None:
        """What SIGHUP asks for; it cannot be refused, so what cannot begin now begins afterwards."""
        try:
            plan = await self._configuring.fresh()
        except ConfigurationError as error:
            self._house.say(f"the configuration cannot be used, everything stays as it is\n{error}")
            return
        for spec in plan.services:
            service = self.services.get(spec.name)
            # What an operator has stopped stays stopped.
            if service is not None and not service.is_stopping:
                service.reload(spec, kind=Kind.RELOAD, by=by, must_queue=True)

    async def reload_one(self, name: str, *, by: str) -> None:
        """Reload a service that was asked to while it could not."""
        try:
            plan = await self._configuring.fresh()
        except ConfigurationError as error:
            self._house.say(f"the configuration cannot be used, everything stays as it is\n{error}")
            return
        for spec in plan.services:
            if spec.name == name:
                self.services[name].reload(spec, kind=Kind.RELOAD, by=by, must_queue=True)


def _conflict(service: Service, order: Order) -> Outcome:
    report = service.report
    under_way = report.id if report is not None and report.result is None else ""
    detail = f"{order.verb} has no place while the service is {service.phase}"
    if under_way:
        detail = f"reload {under_way} is under way ({service.phase})"
    return Outcome(Answer.CONFLICT, detail, {"id": under_way} if under_way else {})


def _log_document(line: LogLine) -> Mapping[str, Any]:
    return LogDocument(
        at=reports.iso(line.at_us),
        service=line.service,
        generation=line.generation,
        stream=line.stream,
        text=line.text,
    )
