"""The work of one run: steps, timers, retries and children, from the request to the record of what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from aeterna.durable.core import events as ev
from aeterna.durable.core.identity import Key, Kind
from aeterna.durable.engine.durability import Level
from aeterna.durable.engine.execution import Wait
from aeterna.durable.engine.heartbeat import Pulse
from aeterna.durable.engine.output_gate import OutputGate
from aeterna.durable.engine.program import ChildRequest, SignalRequest, StepRequest, TimerRequest
from aeterna.durable.engine.steps import NotBegun, Raised, Returned
from aeterna.durable.engine.timers import Alarm

if TYPE_CHECKING:
    from aeterna.durable.engine.runner import Runner


class Work:
    """What is under way for one resident run."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._steps: dict[Key, asyncio.Task[None]] = {}
        self._alarms: dict[Key, Alarm] = {}
        self._children: dict[str, Key] = {}
        self._gate = OutputGate()
        self._held: list[tuple[Wait, int]] = []

    @property
    def is_executing(self) -> bool:
        """A step runs, or waits for a commit to run."""
        return bool(self._steps) or not self._gate.is_empty

    @property
    def has_steps(self) -> bool:
        """A step runs."""
        return bool(self._steps)

    def stored(self, length: int) -> bool:
        """So many events are committed: do what waited for that. True if nothing is executing since."""
        return self._gate.open(length) and not self._steps

    def forget_child(self, child: str) -> Key | None:
        """The wait that a child run's end belongs to; asked once."""
        return self._children.pop(child, None)

    def close(self) -> list[asyncio.Task[None]]:
        """Stop everything; returns the tasks of the steps that were cancelled."""
        for alarm in self._alarms.values():
            alarm.cancel()
        tasks = list(self._steps.values())
        for task in tasks:
            task.cancel()
        return tasks

    def perform(self, wait: Wait) -> None:
        """Begin what workflow code asked for, or go on with it where its history left it."""
        request = wait.request
        match request:
            case StepRequest():
                retry = self._runner.run.retries.get(wait.key)
                if retry is not None:
                    self._alarm(wait.key, retry.next_us, lambda: self._retry(wait, retry.attempt))
                else:
                    self._start_when_stored(wait, request, 1)
            case TimerRequest():
                self._start_timer(wait.key, request)
            case ChildRequest():
                self._start_child(wait.key, request)
            case SignalRequest():
                # It comes through the run's inbox.
                pass
            case _:
                assert_never(request)

    def _start_timer(self, key: Key, request: TimerRequest) -> None:
        timers = self._runner.run.timers
        if key not in timers:
            self._record(ev.TimerStarted(self._runner.now_us(), key.path, key.name, key.occurrence, request.due_us))
        self._alarm(key, timers[key], lambda: self._fire(key))

    def _start_child(self, key: Key, request: ChildRequest) -> None:
        if key not in self._runner.run.children:
            identity = (key.path, key.name, key.occurrence, request.fingerprint)
            self._record(ev.ChildStarted(self._runner.now_us(), *identity, request.child))
            self._runner.log.flush()
        self._children[request.child] = key
        self._runner.host.start_child(self._runner, request)

    def _record(self, event: ev.AnyEvent) -> None:
        self._runner.log.append(event)

    def _start_when_stored(self, wait: Wait, request: StepRequest, attempt: int) -> None:
        """Start a step once everything the run has seen so far is committed; at once if the step may run ahead of
        that."""
        may_run_ahead = request.definition.pure or self._runner.host.durability.level is Level.SNAPSHOT
        if may_run_ahead or self._runner.seen <= self._runner.log.stored:
            self._start_step(wait, attempt)
        else:
            self._gate.hold(self._runner.seen, lambda: self._start_if_waited_for(wait, attempt))

    def _start_if_waited_for(self, wait: Wait, attempt: int) -> None:
        if not self._runner.is_ended and wait.key in self._runner.execution.waits:
            self._start_step(wait, attempt)

    def cancel_child(self, child: str) -> None:
        """Cancel a child once what made the run give it up is committed: a crash may take it back until then."""
        if self._runner.seen <= self._runner.log.stored:
            self._runner.host.cancel_child(self._runner, child)
        else:
            self._gate.hold(self._runner.seen, lambda: self._runner.host.cancel_child(self._runner, child))
            self._runner.log.flush()

    def drop(self, key: Key) -> None:
        """Stop what workflow code has given up."""
        task = self._steps.pop(key, None)
        if task is not None:
            task.cancel()
        alarm = self._alarms.pop(key, None)
        if alarm is not None:
            alarm.cancel()
        if key in self._runner.run.children:
            # That it is abandoned is recorded when its cancellation is, so that a crash in between forgets neither.
            self.cancel_child(self._runner.run.children[key])
        elif key in self._runner.run.timers or key in self._runner.run.retries:
            self.abandon(key)

    def abandon(self, key: Key) -> None:
        """Record that the workflow waits for this no more."""
        self._record(ev.WaitAbandoned(self._runner.now_us(), key.path, key.name, key.occurrence, key.kind.value))

    def _may_begin(self) -> bool:
        lease = self._runner.host.lease
        return not self._runner.run.is_paused and (lease is None or lease.holds())

    def _start_step(self, wait: Wait, attempt: int) -> None:
        runner = self._runner
        if not self._may_begin():
            self._held.append((wait, attempt))
        elif runner.is_releasing:
            # It leaves memory with this commit; whoever loads it next starts the step.
            pass
        elif not self._steps and not runner.run.children and runner.host.yielding.takes(runner):
            runner.hand_over()
        else:
            self._steps[wait.key] = runner.host.spawn(self, wait, attempt)

    def go_on(self) -> None:
        """Start the steps that a pause or a doubtful lease held back; those that still may not start are held again."""
        held, self._held = self._held, []
        for wait, attempt in held:
            self._start_if_waited_for(wait, attempt)

    async def run_step(self, wait: Wait, attempt: int) -> None:
        """One attempt of a step and the record of what came of it."""
        request = wait.request
        assert isinstance(request, StepRequest)
        pulse = self._pulse_of(wait, request, attempt) if request.definition.is_activity else None
        result = await self._runner.host.steps.attempt(request, attempt, self._may_begin, pulse)
        key = wait.key
        self._steps.pop(key, None)
        if self._runner.is_ended or key not in self._runner.execution.waits:
            return
        place = (key.path, key.name, key.occurrence, request.fingerprint)
        match result:
            case NotBegun():
                # The process may have been stopped since the step was due, and others may have recorded it meanwhile.
                self._held.append((wait, attempt))
            case Returned(payload, value, duration_us):
                wait.value = value
                self._record(ev.StepCompleted(self._runner.now_us(), *place, payload, attempt, duration_us))
            case Raised(error, None, duration_us):
                self._record(ev.StepFailed(self._runner.now_us(), *place, error, attempt, duration_us))
            case Raised(error, int() as retry_after_us, duration_us):
                now_us = self._runner.now_us()
                next_us = now_us + retry_after_us
                self._record(ev.StepRetrying(now_us, *place, error, attempt, next_us, duration_us))

    def _pulse_of(self, wait: Wait, request: StepRequest, attempt: int) -> Pulse:
        key = wait.key
        runner = self._runner

        def record(details: ev.Payload) -> None:
            if not runner.is_ended and key in runner.execution.waits:
                place = (key.path, key.name, key.occurrence, request.fingerprint)
                self._record(ev.StepHeartbeat(runner.now_us(), *place, attempt, details))

        details = runner.run.heartbeats.get(key)
        return Pulse(key.name, attempt, details, runner.host.clock, record, runner.execution.payload_bytes_max)

    def schedule_retry(self, event: ev.StepRetrying) -> None:
        """Try a failed step again at its time."""
        key = Key(Kind.STEP, event.path, event.name, event.occurrence)
        wait = self._runner.execution.waits.get(key)
        if wait is not None:
            self._alarm(key, event.next_us, lambda: self._retry(wait, event.attempt + 1))

    def _retry(self, wait: Wait, attempt: int) -> None:
        self._alarms.pop(wait.key, None)
        assert isinstance(wait.request, StepRequest)
        if not self._runner.is_ended:
            self._start_when_stored(wait, wait.request, attempt)
            self._runner.publish_detail()

    def _fire(self, key: Key) -> None:
        self._alarms.pop(key, None)
        if not self._runner.is_ended:
            self._record(ev.TimerFired(self._runner.now_us(), key.path, key.name, key.occurrence))
            self._runner.publish_detail()

    def _alarm(self, key: Key, due_us: int, callback: Callable[[], None]) -> None:
        self._alarms[key] = self._runner.host.timers.at(due_us, callback)
