"""The two clocks of a service: how long it may stay in its state, and how long nobody may accept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aeterna.supervisor.core.deadlines import deadline_ms
from aeterna.supervisor.core.records import Machine
from aeterna.supervisor.core.vocabulary import Kind, State

if TYPE_CHECKING:
    from aeterna.supervisor.instances import Instance
    from aeterna.supervisor.service import Service

DOUBT_US = 20_000
"""So often a generation that may be failing at the end of its soak is looked at."""


class Deadlines:
    """Posts TIMEOUT and BLACKOUT to one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timer: asyncio.TimerHandle | None = None
        self._blackout: asyncio.TimerHandle | None = None
        self._pause_began_us = 0

    def arm(self) -> None:
        """The state's deadline starts anew."""
        self._cancel_timer()
        wait_ms = deadline_ms(self._service.machine, self._service.policy)
        if wait_ms is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._ring)

    def _ring(self) -> None:
        service = self._service
        starting = self._starting()
        # It may have asked for more time.
        more_us = starting.extend_until_us - service.house.clock.monotonic_us() if starting else 0
        watch = service.watch
        if service.machine.state is State.SOAK and watch is not None and watch.has_doubt:
            # The end of the time is no verdict while a probe is failing.
            more_us = DOUBT_US
        if more_us > 0:
            self._timer = asyncio.get_running_loop().call_later(more_us / 1e6, self._ring)
        else:
            service.say(Kind.TIMEOUT, self._reason())

    def _starting(self) -> Instance | None:
        match self._service.machine.state:
            case State.STARTING:
                return self._service.old
            case State.WARMING:
                return self._service.new
            case _:
                return None

    def _reason(self) -> str:
        """Why the time being over is a failure; nothing where it is not."""
        service = self._service
        state = service.machine.state
        match state:
            case State.SOAK:
                return service.watch.says_nothing if service.watch else ""
            case State.SOAK_NO_NET | State.BACKOFF:
                return ""
            case _:
                return (
                    f"{state.name.lower()}_timeout: not done within {deadline_ms(service.machine, service.policy)} ms"
                )

    def follow_pause(self, before: Machine) -> None:
        """Start or stop the blackout clock as the machine has changed."""
        service = self._service
        is_paused = service.machine.is_paused
        if is_paused and not before.is_paused:
            self._pause_began_us = service.house.clock.monotonic_us()
            limit_ms = service.policy.blackout_ms
            reason = f"blackout_exceeded: nobody accepted for {limit_ms} ms (blackout_max)"
            self._blackout = asyncio.get_running_loop().call_later(limit_ms / 1000, service.say, Kind.BLACKOUT, reason)
        elif before.is_paused and not is_paused:
            if self._blackout is not None:
                self._blackout.cancel()
            if self._pause_began_us:
                self._note_pause()

    def _note_pause(self) -> None:
        service = self._service
        pause_ms = (service.house.clock.monotonic_us() - self._pause_began_us) / 1000
        self._pause_began_us = 0
        service.house.metrics.observe_blackout(service.name, pause_ms / 1000)
        if service.report is not None:
            service.report.blackout_ms = round(pause_ms, 2)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """Post nothing any more."""
        self._cancel_timer()
        if self._blackout is not None:
            self._blackout.cancel()
