"""All parts of the supervisor put together: services, control API, logs, metrics, the keeper and the record.

It builds the parts, tells them of exits and OS signals, and takes them down in order.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeterna.config.spec import Plan, ServiceSpec
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import AeternaError
from aeterna.kernel.version import VERSION
from aeterna.supervisor import record as records
from aeterna.supervisor.configuring import Configuring
from aeterna.supervisor.control.events import EventRing
from aeterna.supervisor.core.vocabulary import Kind, State
from aeterna.supervisor.doors import Doors
from aeterna.supervisor.host import limits
from aeterna.supervisor.host.keeping import UPGRADE_EXIT_CODE, Exit, Inventory, Keeping
from aeterna.supervisor.host.log_book import LogBook, open_sinks
from aeterna.supervisor.host.logs import Level
from aeterna.supervisor.house import House
from aeterna.supervisor.instances import Instance
from aeterna.supervisor.metrics import Metrics
from aeterna.supervisor.moving import Moving
from aeterna.supervisor.recovery import Recovery, record_of
from aeterna.supervisor.reports import Reports
from aeterna.supervisor.service import Service
from aeterna.supervisor.supervision import Supervised

LOGS_DRAIN_MS = 1_000
LOOK_AROUND_S = 15.0
CANNOT_START = 11
"""The exit code when something the supervisor itself needs cannot be had."""


@dataclass(frozen=True, slots=True)
class StartOrder:
    """How a daemon is to run. ``directory``: where its sockets are; ``options``: for reading the configuration anew;
    ``environ``: from which services' environments are made; ``stays``: it does not end when every service has."""

    directory: Path
    options: Sequence[str]
    environ: Mapping[str, str]
    stays: bool


class Supervisor:
    """One daemon."""

    def __init__(self, keeping: Keeping, plan: Plan, order: StartOrder, clock: Clock, chance: random.Random) -> None:
        directory, environ = order.directory, order.environ
        self._keeping = keeping
        self._stays = order.stays
        self._clock = clock
        self._events = EventRing(clock)
        self._reports = Reports()
        self._logs = LogBook(clock, open_sinks(plan.log), level=Level(plan.log.level.replace("warn", "warning", 1)))
        self._configuring = Configuring(Path(plan.source), plan, order.options, environ)
        self._house = House(
            clock=clock,
            keeping=keeping,
            logs=self._logs,
            metrics=Metrics(VERSION),
            reports=self._reports,
            chance=chance,
            directory=directory,
            environ=environ,
            groups=limits.make_groups(limits.detect(), directory.name, (os.getpid(), os.getppid())),
            emit=self._emit,
            save=self._save_soon,
            saved=self._save,
            reload_queued=self._reload_queued,
            settled=self._end_if_over,
        )
        self.supervised = Supervised(self._house, self._configuring, self._events, self.stop)
        self._doors = Doors(self._house, self.supervised, plan)
        self._saving: asyncio.Task[None] | None = None
        self._must_save = False
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._is_stopping = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, asked: asyncio.Queue[int]) -> int:
        """Start or go on, until it is over; returns the exit code."""
        inventory = self._keeping.inventory()
        found = records.decode(inventory.record) if inventory.record else None
        try:
            try:
                await self._open(inventory, found)
            except (AeternaError, OSError) as error:
                self._house.say(f"cannot start: {error}", level=Level.ERROR)
                await self._keeping.announce(CANNOT_START, str(error))
                self._end(CANNOT_START)
                return CANNOT_START
            self._keeping.watch(
                self._exited, self._keeper_gone, lambda text: self._house.say(text, level=Level.WARNING)
            )
            if found is None:
                for service in self.supervised.services.values():
                    service.say(Kind.START)
            else:
                await Recovery(self._house, self.supervised).go_on(inventory, found)
            _ = self._follow(self._announce(inventory))
            _ = self._follow(self._obey(asked))
            _ = self._follow(self._look_around())
            return await self._ended
        finally:
            await self._close()

    async def _open(self, inventory: Inventory, found: records.Record | None) -> None:
        if found is not None:
            self._configuring.plan = found.plan
            self.supervised.started_us = found.started_us
            self._reports.recover(found.reports)
        plan = self._configuring.plan
        for warning in plan.warnings:
            if found is None:
                self._house.say(warning, level=Level.WARNING)
        for spec in plan.services:
            await self._add(spec, inventory)
        await self._doors.open(inventory)

    async def _add(self, spec: ServiceSpec, inventory: Inventory) -> None:
        moving = await Moving.open(spec, self._house, inventory)
        self.supervised.services[spec.name] = Service(spec, self._house, moving)

    # --- what happens ------------------------------------------------------------------------------------------------

    def _exited(self, found: Exit) -> None:
        for service in self.supervised.services.values():
            instance = service.find(found.key)
            if instance is None:
                continue
            service.hear(instance)
            if instance.main_pid:
                service.in_background(self._succeeded(service, instance, found))
                return
            service.ended(instance, found)
            break
        self._keeping.acknowledge(found.key)

    async def _succeeded(self, service: Service, instance: Instance, found: Exit) -> None:
        """It has named a process that goes on in its place; if that is there, the instance has not ended."""
        child = await self._keeping.claim(found.key, instance.main_pid)
        if child is not None:
            instance.replace_child(child)
            service.tell(f"process {child.pid} takes the place of {found.pid}", instance.generation)
            return
        service.ended(instance, found)
        self._keeping.acknowledge(found.key)

    def _keeper_gone(self) -> None:
        """Nobody looks after the processes any more, and without their parent there is nothing to supervise."""
        self._house.say("the keeper has gone: ending everything", level=Level.ERROR)
        for service in self.supervised.services.values():
            service.kill()
        self._end(1)

    async def _obey(self, asked: asyncio.Queue[int]) -> None:
        while True:
            match await asked.get():
                case signal.SIGHUP:
                    await self.supervised.reload_all(by="SIGHUP")
                case signal.SIGTERM | signal.SIGINT:
                    self.stop()
                case signal.SIGUSR1:
                    self._logs.reopen()
                case signal.SIGUSR2:
                    await self._save()
                    self._house.say("leaving the services to a new daemon")
                    self._end(UPGRADE_EXIT_CODE)

    async def _look_around(self) -> None:
        """From time to time look at what nobody tells: strangers on our addresses."""
        while True:
            await sleep(LOOK_AROUND_S)
            for service in self.supervised.services.values():
                service.traffic.look()

    def _emit(self, kind: str, data: dict[str, Any]) -> None:
        self._events.publish(kind, data)

    def _reload_queued(self, name: str) -> None:
        _ = self._follow(self._reload_again(name))

    async def _reload_again(self, name: str) -> None:
        await self.supervised.reload_one(name, by="queued")

    # --- the end -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop every service and then the supervisor. The second time: at once."""
        services = self.supervised.services.values()
        if self._is_stopping:
            for service in services:
                service.kill()
            return
        self._is_stopping = self.supervised.is_stopping = True
        self._house.say("stopping")
        for service in services:
            service.stop()
        _ = self._follow(self._stopped())

    async def _stopped(self) -> None:
        for service in self.supervised.services.values():
            await service.settled.wait()
        self._end(self._exit_code())

    def _end_if_over(self) -> None:
        """Every service has ended by itself, and none is to be started again: then the supervisor in the foreground
        ends as well, and its exit code tells how. In the background it waits for a reload."""
        services = self.supervised.services.values()
        if self._stays or self._is_stopping:
            return
        if all(service.is_over and not service.is_stopping for service in services):
            self._end(self._exit_code())

    def _exit_code(self) -> int:
        """That of the first service's last process, as a shell would tell it; 0 for one that was asked to stop."""
        service = next(iter(self.supervised.services.values()))
        found = service.last_death
        if found is None:
            return 0 if self._is_stopping else 1
        if found.os_signal is None:
            ok = self._is_stopping and found.code in service.spec.success_exit_codes
            return 0 if ok else found.code or 0
        asked_for = self._is_stopping and found.os_signal in (service.spec.stop_signal, signal.SIGKILL)
        return 0 if asked_for else 128 + found.os_signal

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    async def _close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        is_handed_on = self._ended.done() and not self._ended.cancelled() and self._ended.result() == UPGRADE_EXIT_CODE
        await self._doors.close(is_last=not is_handed_on)
        for service in self.supervised.services.values():
            await service.close(is_last=not is_handed_on)
        if self._house.groups is not None and not is_handed_on:
            self._house.groups.close()
        await self._logs.drain(LOGS_DRAIN_MS)
        self._logs.close()

    # --- the record --------------------------------------------------------------------------------------------------

    def _save_soon(self) -> None:
        self._must_save = True
        if self._saving is None:
            self._saving = self._follow(self._save_while_needed())

    async def _save_while_needed(self) -> None:
        try:
            while self._must_save:
                await self._save()
        finally:
            self._saving = None

    async def _save(self) -> None:
        self._must_save = False
        record = records.Record(
            version=records.VERSION,
            started_us=self.supervised.started_us,
            plan=self._configuring.plan,
            services=[record_of(service) for service in self.supervised.services.values()],
            reports=self._reports.record(),
        )
        await self._keeping.put_record(records.encode(record))

    # --- tasks -------------------------------------------------------------------------------------------------------

    def _follow(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _announce(self, inventory: Inventory) -> None:
        """Tell the starter of a detached supervisor how it went."""
        if inventory.daemon_starts > 1:
            return
        services = self.supervised.services.values()
        while not all(service.machine.state in _DECIDED for service in services):
            await self._events.wait_after(self._events.last_id)
        failed = [service for service in services if service.machine.state is not State.RUNNING]
        text = "\n".join(
            f"{service.name}: {service.machine.state.name}: {service.machine.reason}" for service in failed
        )
        await self._keeping.announce(1 if failed else 0, text)


_DECIDED = frozenset({State.RUNNING, State.FAILED, State.STOPPED, State.BACKOFF})
