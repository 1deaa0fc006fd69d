"""How a daemon takes over from one that died: processes, sockets, pipes and the states they were in.

The keeper names what it holds; the record says what that was for. What died while nobody looked is told like any other
death, after everything else is in place.
"""

from __future__ import annotations

import os
import signal

from aeterna.supervisor.core.vocabulary import Kind
from aeterna.supervisor.host.keeping import ChildState, Inventory
from aeterna.supervisor.host.logs import Level
from aeterna.supervisor.host.notify import NotifySocket
from aeterna.supervisor.house import House
from aeterna.supervisor.instances import Instance, InstanceRecord
from aeterna.supervisor.record import Record, ServiceRecord, machine_of, plain_machine
from aeterna.supervisor.service import Service
from aeterna.supervisor.starting import STREAMS, Starting
from aeterna.supervisor.supervision import Supervised
from aeterna.supervisor.weighing import weigh


class Recovery:
    """One take-over."""

    def __init__(self, house: House, supervised: Supervised) -> None:
        self._house = house
        self._supervised = supervised

    async def go_on(self, inventory: Inventory, record: Record) -> None:
        """Bring every service to where it stood, then tell it what happened meanwhile."""
        self._house.say("a new daemon takes over", level=Level.WARNING)
        children = {each.key: each for each in inventory.children}
        services = [self._supervised.services[each.name] for each in record.services]
        for service, found in zip(services, record.services, strict=True):
            await self._restore(service, found, inventory.fds, children)
        for each in children.values():
            self._end_unknown(each)
        for key, fd in inventory.fds.items():
            # What belongs to nothing any more: of a start that was under way, or of a process that is gone.
            os.close(fd)
            self._house.keeping.drop(key)
        inventory.fds.clear()
        for service in services:
            service.say(Kind.RECOVERED)
            self._tell_missed_deaths(service)

    async def _restore(
        self, service: Service, found: ServiceRecord, fds: dict[str, int], children: dict[str, ChildState]
    ) -> None:
        prefix = f"{service.name}/"
        kept = {key.removeprefix(prefix): fds.pop(key) for key in [*fds] if key.startswith(prefix)}
        specs = {each.name: each for each in (*found.good.sockets, *found.wanted.sockets)}
        names = {key.split(":")[1] for key in kept}
        service.traffic.open(tuple(spec for name, spec in specs.items() if name in names), kept)
        self._adopt(service, found)
        for each in found.instances:
            self._adopt_instance(service, each, fds, children.pop(each.token, None))
        service.moving.adopt_snapshot(found.snapshot, fds)
        service.store.adopt(fds)
        await service.traffic.restore(found.percent)

    def _adopt_instance(
        self, service: Service, record: InstanceRecord, fds: dict[str, int], child: ChildState | None
    ) -> None:
        instance = Instance.recover(record)
        service.instances[instance.generation] = instance
        service.moving.expect(instance)
        starting = Starting(service)
        notify = fds.pop(f"notify:{instance.token}", None)
        if notify is not None:
            starting.listen(instance, NotifySocket.adopt(notify))
        for stream in STREAMS:
            pipe = fds.pop(f"pipe:{instance.token}:{stream}", None)
            if pipe is not None:
                starting.read_pipe(instance, stream, pipe)
        if child is not None:
            instance.child = child.child
            instance.missed_exit = child.exit
            service.in_background(weigh(instance))

    def _adopt(self, service: Service, found: ServiceRecord) -> None:
        service.machine = machine_of(found.machine)
        service.good, service.previous = found.good, found.previous
        service.go_by(found.wanted)
        service.restarts, service.last_ending = found.restarts, found.last_ending
        service.is_stopping = found.is_stopping
        service.report = self._house.reports.find(found.report)
        self._house.metrics.set_state(service.name, service.phase)

    def _tell_missed_deaths(self, service: Service) -> None:
        """Tell of those processes that have ended while no daemon looked, or whose start was never finished."""
        for instance in list(service.instances.values()):
            if not instance.is_alive:
                service.ended(instance, instance.missed_exit)
                self._house.keeping.acknowledge(instance.token)
        for kind, generation in ((Kind.OLD_DIED, service.machine.old), (Kind.NEW_DIED, service.machine.new)):
            if generation and generation not in service.instances:
                service.say(kind, "it was not there any more")
        service.settle()

    def _end_unknown(self, child: ChildState) -> None:
        """A process that the record does not know: its start was under way when the daemon died."""
        if child.child is not None:
            child.child.send_signal(signal.SIGKILL)
            child.child.close()
        if child.exit is not None:
            self._house.keeping.acknowledge(child.key)


def record_of(service: Service) -> ServiceRecord:
    """Where a service stands."""
    for instance in service.instances.values():
        service.moving.note_speakers(instance)
    return ServiceRecord(
        name=service.name,
        machine=plain_machine(service.machine),
        good=service.good,
        previous=service.previous,
        wanted=service.wanted,
        instances=[each.record() for each in service.instances.values()],
        restarts=service.restarts,
        last_ending=service.last_ending,
        percent=service.traffic.percent,
        report=service.report.id if service.report else "",
        is_stopping=service.is_stopping,
        snapshot=service.moving.snapshot_manifest(),
    )
