"""When a process that was started can serve: it says so, a probe says so, it accepts, or the warm-up is over.

The first of these that the configuration allows counts, and is named. The warm-up delay is a minimum for all of them. A
process that only says so has to show it, unless the configuration takes its word (``ready: notify``).
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aeterna.config.spec import ProbeSpec, ReadyBy, StateMode
from aeterna.kernel.clock import sleep
from aeterna.supervisor.core.health import Sample
from aeterna.supervisor.host.dialing import UnansweredError, dial
from aeterna.supervisor.host.listeners import accept_queue_length
from aeterna.supervisor.instances import Instance
from aeterna.supervisor.starting import Starting
from aeterna.supervisor.watching import first_answer

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service

PROBE_PAUSE_S = 0.05
ACCEPT_STEP_S = 0.002
ACCEPT_PAUSE_S = 0.05


class _Dialing:
    """What `dial` tells about its progress, which nobody asks here."""

    stage = ""
    timeout_means = Sample.FAILED


class Readiness:
    """Waits for one instance."""

    def __init__(self, service: Service, instance: Instance) -> None:
        self._service = service
        self._instance = instance
        self._startup = instance.spec.startup
        self._target = Starting(service).target(instance)

    async def wait(self) -> None:
        """Return when it is ready; for ever if it never is, which is the business of a deadline."""
        async with asyncio.TaskGroup() as group:
            group.create_task(sleep(self._startup.warmup_ms / 1000))
            group.create_task(self._first_sign())
        if self._instance.ready_by in ("notify", "accept") and self._is_reachable:
            await self._shown()

    async def _shown(self) -> None:
        """It says that it is ready; now it has to show it."""
        instance, probe = self._instance, self._probe
        if probe is not None:
            await first_answer(probe, self._target, PROBE_PAUSE_S)
            instance.ready_by += ", probe"
        elif instance.ready_by == "notify" and self._startup.ready is ReadyBy.AUTO and self._has_listener:
            # gunicorn says so before any of its workers has loaded the application.
            instance.ready_by += f", {await self._accepts()}"

    @property
    def _probe(self) -> ProbeSpec | None:
        spec = self._instance.spec
        return spec.canary.probe or spec.health

    @property
    def _has_listener(self) -> bool:
        return self._service.traffic.probe_listener() is not None

    @property
    def _is_reachable(self) -> bool:
        """Whether connections of ours can get to this process before it serves anybody else."""
        is_candidate = self._instance.role == "candidate"
        return not is_candidate or (
            self._instance.spec.state.mode is not StateMode.EXCLUSIVE and self._service.traffic.can_steer
        )

    async def _first_sign(self) -> None:
        signs = [asyncio.ensure_future(each) for each in self._signs()]
        try:
            done, _ = await asyncio.wait(
                [*signs, said := asyncio.ensure_future(self._instance.ready.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for sign in done - {said}:
                self._instance.became_ready(str(sign.result()))
        finally:
            for task in (*signs, said):
                task.cancel()

    def _signs(self) -> list[Coroutine[Any, Any, str]]:
        ready = self._startup.ready
        signs: list[Coroutine[Any, Any, str]] = []
        if ready in (ReadyBy.PROBE, ReadyBy.AUTO) and self._probe is not None and self._is_reachable:
            signs.append(self._asked(self._probe))
        elif ready in (ReadyBy.AUTO, ReadyBy.PROBE) and self._has_listener and self._is_reachable:
            signs.append(self._accepts())
        elif ready is ReadyBy.AUTO and not self._service.traffic.listeners:
            signs.append(self._delayed())
        if ready is ReadyBy.DELAY:
            signs.append(self._delayed())
        if ready is ReadyBy.LOG:
            signs.append(self._logged(re.compile(self._startup.log_pattern)))
        return signs

    async def _asked(self, probe: ProbeSpec) -> str:
        await first_answer(probe, self._target, PROBE_PAUSE_S)
        return "probe"

    async def _delayed(self) -> str:
        await sleep(self._startup.warmup_ms / 1000)
        return "warm-up delay"

    async def _logged(self, pattern: re.Pattern[str]) -> str:
        await self._service.house.logs.wait_match(self._service.name, self._instance.generation, pattern)
        return "log line"

    async def _accepts(self) -> str:
        """A connection of ours that the kernel has queued for this process alone has been taken out of the queue."""
        listener = self._service.traffic.probe_listener()
        assert listener is not None
        queue = listener.socket_of(self._instance.colour)
        address = listener.reach()[0][1]
        while True:
            with suppress(UnansweredError, OSError), await dial(address, self._target.source, _Dialing()):
                if await self._is_taken(queue):
                    return "accept"
            await sleep(ACCEPT_PAUSE_S)

    async def _is_taken(self, queue: socket.socket) -> bool:
        while True:
            length = accept_queue_length(queue)
            if length is None:
                return False
            if length == 0:
                return True
            await sleep(ACCEPT_STEP_S)
