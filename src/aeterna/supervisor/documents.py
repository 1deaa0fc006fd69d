"""What the control API shows: documents made of a service's present state. Changes nothing."""

from __future__ import annotations

from aeterna.kernel.version import VERSION
from aeterna.supervisor import launch
from aeterna.supervisor.control.contract import GenerationDocument, ServiceDocument, StatusDocument
from aeterna.supervisor.core.vocabulary import State
from aeterna.supervisor.instances import Instance
from aeterna.supervisor.reports import iso, summary
from aeterna.supervisor.service import HANDOVER, Service


def service_document(service: Service) -> ServiceDocument:
    """One service."""
    now_us = service.house.clock.now_us()
    machine = service.machine
    is_handover = machine.state in HANDOVER
    serving = service.new if service.new is not None and _new_serves(service) else service.old
    last = service.house.reports.last_ended(service.name)
    report = service.report
    return ServiceDocument(
        name=service.name,
        state=machine.state.name,
        phase=service.phase,
        is_ready=service.is_ready,
        generation=serving.generation if serving else 0,
        pid=serving.pid if serving and serving.is_alive else None,
        old_pid=service.old.pid if is_handover and service.old and service.old.is_alive else None,
        uptime_s=_uptime_s(serving, now_us),
        restarts=service.restarts,
        weight=weight_of(service, service.new or service.old),
        lease=machine.lease,
        memory_bytes=(serving.memory_bytes or None) if serving else None,
        strategy=str(service.spec.strategy),
        detail=_detail(service, serving),
        last_exit=service.last_exit,
        last_exit_at=iso(service.last_ending.at_us) if service.last_ending else None,
        last_words=service.last_ending.last_words if service.last_ending else [],
        sockets={listener.name: launch.local_address(listener) for listener in service.traffic.listeners.values()},
        generations=[_generation(service, each, now_us) for each in service.instances.values() if each.is_alive],
        reload=report.id if report is not None and report.result is None else None,
        last_handover=summary(last) if last else None,
    )


def status_document(
    services: list[Service], *, config: str, started_us: int, pids: tuple[int, int], warnings: list[str]
) -> StatusDocument:
    """The whole supervisor. ``pids``: the daemon's and the keeper's."""
    documents = [service_document(service) for service in services]
    first = documents[0]
    now_us = services[0].house.clock.now_us()
    return StatusDocument(
        fsm_state=first["phase"],
        current_pid=first["pid"],
        old_pid=first["old_pid"],
        uptime=round((now_us - started_us) / 1e6, 3),
        last_handover=first["last_handover"],
        version=VERSION,
        config=config,
        daemon_pid=pids[0],
        keeper_pid=pids[1],
        started_at=iso(started_us),
        is_ready=all(service.is_ready for service in services),
        warnings=warnings,
        services=documents,
    )


def weight_of(service: Service, instance: Instance | None) -> int:
    """The share of new connections, in percent, that a generation gets."""
    if instance is None or instance.is_retired:
        return 0
    return service.traffic.share(instance.colour)


def _new_serves(service: Service) -> bool:
    return service.machine.state in (State.SOAK, State.SOAK_NO_NET, State.PROMOTE, State.DRAIN)


def _uptime_s(instance: Instance | None, now_us: int) -> float | None:
    if instance is None or not instance.is_alive:
        return None
    return round((now_us - instance.started_us) / 1e6, 1)


def _detail(service: Service, serving: Instance | None) -> str:
    match service.machine.state:
        case State.BACKOFF:
            return f"{service.machine.reason}; starts again in {service.machine.delay_ms} ms"
        case State.FAILED | State.STOPPED:
            return service.machine.reason
        case _:
            return serving.status_text if serving else ""


def _generation(service: Service, instance: Instance, now_us: int) -> GenerationDocument:
    return GenerationDocument(
        generation=instance.generation,
        pid=instance.pid,
        role=_role(service, instance),
        weight=weight_of(service, instance),
        uptime_s=_uptime_s(instance, now_us) or 0.0,
        memory_bytes=instance.memory_bytes or None,
    )


def _role(service: Service, instance: Instance) -> str:
    if instance.is_retired or (instance.generation == service.machine.old and service.machine.state is State.DRAIN):
        return "draining"
    if instance.generation == service.machine.new:
        return "active" if _new_serves(service) else "candidate"
    return "standby" if service.machine.new and _new_serves(service) and weight_of(service, instance) == 0 else "active"
