"""One generation under watch: its probes and its watchdog. Reports a verdict, acts on nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aeterna.config.spec import ProbeSpec, ServiceSpec
from aeterna.kernel.clock import Clock, sleep
from aeterna.supervisor.core import health
from aeterna.supervisor.core.health import Health, HealthPolicy, Record, Sample
from aeterna.supervisor.host.probes import ProbeResult, ProbeTarget, probe
from aeterna.supervisor.instances import Instance

WATCHDOG_LOOKS = 4
"""How often within its interval a watchdog is looked at."""
WATCHDOG_LOOK_S_MIN = 0.02
OVERDUE_US = 50_000
"""A probe that takes longer may be one that is never answered."""

Verdict = Callable[[Health, str], None]
"""Told of every verdict that calls for something: FLAPPING or UNHEALTHY, and why."""


class Watch:
    """Watches one instance until it is stopped. ``told``: every probe's result."""

    def __init__(
        self,
        instance: Instance,
        probe_spec: ProbeSpec | None,
        target: ProbeTarget,
        clock: Clock,
        verdict: Verdict,
        told: Callable[[ProbeResult], None],
    ) -> None:
        self._instance = instance
        self._spec = probe_spec
        self._target = target
        self._clock = clock
        self._verdict = verdict
        self._told = told
        self._policy = _policy(instance.spec, probe_spec)
        self.record = Record()
        self.last_detail = ""
        self._last_sample = Sample.OK
        self._asking_since_us = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch."""
        loops = [self._probing()] if self._spec else []
        loops += [self._listening()]
        self._tasks = [asyncio.get_running_loop().create_task(each) for each in loops]

    def stop(self) -> None:
        """Stop watching; idempotent."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    @property
    def says_nothing(self) -> str:
        """Why the samples so far carry no verdict; empty if they do, or if nothing is asked."""
        if self._spec is None:
            return ""
        if not self.record.count:
            return f"no probe was answered: {self.last_detail}" if self.last_detail else "no probe was made yet"
        if health.judge(self._policy, self.record) is Health.UNKNOWN:
            return f"the last probes say nothing: {self.last_detail}"
        return ""

    @property
    def has_doubt(self) -> bool:
        """The last answer was bad, or one is overdue: too early to call it well. The probes to come settle it."""
        waits_us = self._clock.monotonic_us() - self._asking_since_us if self._asking_since_us else 0
        return self._last_sample is Sample.FAILED or waits_us > OVERDUE_US

    def forget(self) -> None:
        """Begin a new record: another weight is in force."""
        self.record = Record()

    async def _probing(self) -> None:
        assert self._spec is not None
        if self._spec.start_period_ms:
            await sleep(self._spec.start_period_ms / 1000)
        while True:
            self._asking_since_us = self._clock.monotonic_us()
            result = await probe(self._spec, self._target)
            self._asking_since_us = 0
            self._last_sample, self.last_detail = result.sample, result.detail
            self._told(result)
            self.record = health.note(self.record, result.sample, result.latency_ms)
            found = health.judge(self._policy, self.record)
            if found in (Health.UNHEALTHY, Health.FLAPPING):
                self._verdict(found, result.detail)
                self.forget()
            await sleep(self._spec.interval_ms / 1000)

    async def _listening(self) -> None:
        """The watchdog: the process must say that it is alive within every interval it promised."""
        instance = self._instance
        instance.last_ping_us = self._clock.monotonic_us()
        while True:
            await instance.has_watchdog.wait()
            await sleep(max(instance.watchdog_us / WATCHDOG_LOOKS / 1e6, WATCHDOG_LOOK_S_MIN))
            silent_us = self._clock.monotonic_us() - instance.last_ping_us
            if 0 < instance.watchdog_us < silent_us:
                self._verdict(Health.UNHEALTHY, f"the watchdog was not fed for {silent_us // 1000} ms")
                instance.last_ping_us = self._clock.monotonic_us()


async def first_answer(spec: ProbeSpec, target: ProbeTarget, pause_s: float) -> ProbeResult:
    """Ask until the answer is good."""
    while True:
        result = await probe(spec, target)
        if result.sample is Sample.OK:
            return result
        await sleep(pause_s)


def _policy(spec: ServiceSpec, probe_spec: ProbeSpec | None) -> HealthPolicy:
    canary = spec.canary
    is_canary = probe_spec is not None and probe_spec is canary.probe
    return HealthPolicy(
        retries=probe_spec.retries if probe_spec else 1,
        error_rate_max=canary.error_rate_max if is_canary else 0.0,
        latency_ms_max=canary.latency_ms_max if is_canary else 0,
        samples_min=canary.samples_min,
    )
