"""The pulse of one attempt of an activity: proof that it lives, and how far it is."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import NotDurableError, StepTimeoutError

T = TypeVar("T")

RECORD_US_MIN = 1_000_000
"""Details are recorded at most so often: between two records only the latest count."""

_current: contextvars.ContextVar[Pulse | None] = contextvars.ContextVar("aeterna_pulse", default=None)


class Pulse:
    """One attempt. ``details``: what an earlier one told last; ``record`` is called with what this one tells, from the
    loop, now and then and at the end."""

    def __init__(
        self,
        name: str,
        attempt: int,
        details: Payload | None,
        clock: Clock,
        record: Callable[[Payload], None],
        payload_bytes_max: int,
    ) -> None:
        self.name = name
        self.attempt = attempt
        self.details = details
        self._clock = clock
        self._record = record
        self._payload_bytes_max = payload_bytes_max
        self._loop = asyncio.get_running_loop()
        self._scope: asyncio.Timeout | None = None
        self._timeout_s = 0.0
        self._recorded_us: int | None = None
        self._unrecorded: Payload | None = None
        self._is_over = False

    async def watch(self, work: Awaitable[T], timeout_us: int | None) -> T:
        """Await it; raises `StepTimeoutError` when it is not heard of for so long."""
        _current.set(self)
        try:
            if timeout_us is None:
                return await work
            self._timeout_s = timeout_us / 1e6
            async with asyncio.timeout(self._timeout_s) as self._scope:
                return await work
        except TimeoutError as error:
            if self._scope is None or not self._scope.expired():
                raise
            raise StepTimeoutError(
                f"activity {self.name!r} was not heard of for its heartbeat timeout of {self._timeout_s:g} s"
            ) from error
        finally:
            self._is_over, self._scope = True, None
            self._flush()

    def beat(self, details: Any) -> None:
        """The attempt lives, and is so far; from any thread.

        Raises `StepTimeoutError` if the attempt is over, so that a thread that was left behind ends."""
        if self._is_over:
            raise StepTimeoutError(f"attempt {self.attempt} of activity {self.name!r} is over: nobody waits for it")
        payload = None
        if details is not None:
            payload = codec.encode(details, f"the heartbeat of activity {self.name!r}", self._payload_bytes_max)
        if asyncio._get_running_loop() is self._loop:
            self._heard(payload)
        else:
            self._loop.call_soon_threadsafe(self._heard, payload)

    def _heard(self, details: Payload | None) -> None:
        if self._is_over:
            return
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(self._loop.time() + self._timeout_s)
        if details is None or details == self.details:
            return
        self.details = self._unrecorded = details
        now_us = self._clock.monotonic_us()
        if self._recorded_us is None or now_us - self._recorded_us >= RECORD_US_MIN:
            self._recorded_us = now_us
            self._flush()

    def _flush(self) -> None:
        details, self._unrecorded = self._unrecorded, None
        if details is not None:
            self._record(details)


def current_pulse() -> Pulse:
    """That of the activity that is executing here; raises `NotDurableError` elsewhere."""
    pulse = _current.get()
    if pulse is None:
        raise NotDurableError(
            "no activity is executing here: heartbeats belong into a function that ctx.activity(...) or @app.activity "
            "runs"
        )
    return pulse
