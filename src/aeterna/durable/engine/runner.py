"""One run in this process: joins its workflow code, its log, and the work it asked for.

The cycle is always the same. Events become deliverable; the workflow code sees them one at a time and settles; what
it asks for and gives up is acted on; what comes of that is appended to the log, and becomes deliverable in its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import assert_never

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import Run, detail_of, next_wake_us
from aeterna.durable.core.identity import Key, Kind
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.durability import Level
from aeterna.durable.engine.execution import Execution, Wait
from aeterna.durable.engine.host import WAITING, Host
from aeterna.durable.engine.output_gate import OutputGate
from aeterna.durable.engine.program import ChildRequest, StepRequest, TimerRequest
from aeterna.durable.engine.run_log import RunLog
from aeterna.durable.engine.steps import Raised, Returned
from aeterna.durable.engine.timers import Alarm
from aeterna.durable.stores.contract import Head
from aeterna.kernel.errors import NotDurableError

WAITS_FOR_NOTHING = (
    "waits for something that cannot come: no step, timer or child is under way that could wake it. "
    "Does it wait for an asyncio object that only code outside the workflow would set?"
)


class Runner:
    """A resident run."""

    def __init__(self, run_id: str, execution: Execution, host: Host) -> None:
        self.id = run_id
        self.execution = execution
        self.run = Run()
        self.is_ended = False
        self.is_releasing = False
        self.was_fenced = False
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._log: RunLog
        self._steps: dict[Key, asyncio.Task[None]] = {}
        self._alarms: dict[Key, Alarm] = {}
        self._seen = 0
        self._gate = OutputGate()
        self._detail = Detail.LEASED
        self._children: dict[str, Key] = {}
        self._final: ev.RunCompleted | ev.RunFailed | ev.RunCancelled | None = None
        self._obstacle: Exception | None = None
        self._released_at = 0
        self._pump_is_due = False
        self._snapshot_alarm: asyncio.TimerHandle | None = None

    # Life.

    def start(self, log: RunLog, history: list[ev.AnyEvent], *, taken_over_by: int | None = None) -> None:
        """Bring the workflow code to where its history ends and go on from there. Call it from a plain callback.

        ``log.run`` must be the fold of ``history``. ``taken_over_by``: the session to record as the one that goes on.
        """
        self._log = log
        self.run = log.run
        self._seen = log.stored
        try:
            has_run = taken_over_by is not None and any(type(event) is ev.RunStarted for event in history)
            self.execution.replay(history, is_first_time=not has_run)
        except Exception as error:  # noqa: BLE001 - code that fails outside its own task must not leave the run unheard
            self._stuck(error)
            return
        if taken_over_by is not None:
            log.append(ev.RunStarted(self._now(), taken_over_by))
            self._detail = Detail.NONE
        for key in [*self.run.timers, *self.run.children, *self.run.retries]:
            if key not in self.execution.waits:
                # The code gave it up in an earlier process, which ended before it could record that.
                self._drop(key)
        self._act()

    def cancel(self, reason: str) -> bool:
        """Record a request to cancel; False if there is one already or the run has ended."""
        if self.is_ended or self.run.cancel_reason is not None:
            return False
        self._log.append(ev.CancelRequested(self._now(), reason))
        # Together with the request, so that a process that finds both does not sleep on.
        self._publish_detail()
        self._log.flush()
        return True

    def child_ended(self, child: str, result: ev.Payload | None, error: ev.ErrorRecord | None) -> None:
        """The child run has ended with a result or an error."""
        key = self._children.pop(child, None)
        if key is None or key not in self.run.children or self.is_ended:
            return
        place = (key.path, key.name, key.occurrence)
        if error is not None:
            self._log.append(ev.ChildFailed(self._now(), *place, error))
        else:
            self._log.append(ev.ChildCompleted(self._now(), *place, result or ev.Payload(b"jnull")))
        self._publish_detail()

    def child_given_up(self, child: str) -> None:
        """The child's cancellation is recorded in its own history, or it has ended, or it never began."""
        if self.is_ended and self._final is None:
            return
        for key in [key for key, known in self.run.children.items() if known == child]:
            self._abandon(key)
            self._publish_detail()
        self._end_without_children()

    @property
    def wake_us(self) -> int | None:
        """When the run's next timer is due."""
        return next_wake_us(self.run)

    @property
    def is_waiting(self) -> bool:
        """The run only waits for its own timers, and everything it recorded is committed: it may leave memory.

        One that waits for a child stays: its row could not say when to look at it again.
        """
        return not self.is_ended and self._log.is_clean and self._row_wake_us() is not None

    def release(self) -> None:
        """Let a waiting run leave memory: once the store knows, `Host.released` is called, and anybody may claim it
        when its timer is due."""
        self.is_releasing = True
        self._released_at = self.run.length
        detail = detail_of(self.run, executing=False)
        self._log.set_head(Head(State.RUNNING, detail, self._row_wake_us(), release=True))

    @property
    def has_moved_on(self) -> bool:
        """Something was recorded after `release` had written the row."""
        return self.run.length != self._released_at

    def close(self) -> list[asyncio.Task[None]]:
        """Leave this process's memory; nothing more is recorded. Returns the tasks of steps that were cancelled."""
        self.is_ended = True
        tasks = list(self._steps.values())
        for task in tasks:
            task.cancel()
        for alarm in self._alarms.values():
            alarm.cancel()
        if self._snapshot_alarm is not None:
            self._snapshot_alarm.cancel()
        self.execution.close()
        return tasks

    def flush(self) -> None:
        """Commit what is recorded now."""
        self._log.flush()

    # The log's side.

    def wake(self) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon(self._pump)

    def on_stored(self) -> None:
        if self._snapshot_alarm is not None and self._log.is_clean:
            self._snapshot_alarm.cancel()
            self._snapshot_alarm = None
        if self._gate.open(self._log.stored) and not self._steps:
            self._publish_detail()
        if not self._log.is_clean:
            return
        if self.run.state is not None and self.run.state.is_final:
            self._host.finished(self)
        elif self._obstacle is not None:
            self._host.stuck(self, self._obstacle)
        elif self.is_releasing:
            self.is_releasing = False
            self._host.released(self)

    def on_fenced(self) -> None:
        self.was_fenced = True
        if not self.is_ended:
            self._host.fenced(self)

    def start_snapshot_timer(self) -> None:
        if self._snapshot_alarm is None:
            self._snapshot_alarm = self._loop.call_later(self._host.durability.snapshot_ms / 1000, self._snapshot)

    def _snapshot(self) -> None:
        self._snapshot_alarm = None
        self._log.flush()

    # The cycle.

    def _pump(self) -> None:
        self._pump_is_due = False
        if self.is_ended or self.is_releasing:
            # While it is being given up, somebody may have taken it already: it goes on when it is back in memory.
            return
        try:
            for event in self._log.next_events():
                self.execution.deliver(event)
                if type(event) is ev.StepRetrying:
                    self._schedule_retry(event)
        except Exception as error:  # noqa: BLE001 - see `start`
            self._stuck(error)
            return
        self._seen = self.run.length
        self._act()

    def _act(self) -> None:
        execution = self.execution
        for wait in execution.take_abandoned():
            self._drop(wait.key)
        final = execution.outcome(self._now())
        if final is not None:
            self._end(final)
            return
        for wait in execution.take_requests():
            self._perform(wait)
        if not execution.waits and not self.run.children:
            self._stuck(NotDurableError(f"run {self.id!r} {WAITS_FOR_NOTHING}"))
            return
        self._publish_detail()

    def _end(self, final: ev.RunCompleted | ev.RunFailed | ev.RunCancelled) -> None:
        self.close()
        self._final = final
        for child in [*self.run.children.values()]:
            self._cancel_child(child)
        self._end_without_children()

    def _end_without_children(self) -> None:
        """Record the end, but not before the children left behind are cancelled: who ended is never looked at again."""
        if self._final is None or self.run.children:
            return
        final, self._final = self._final, None
        self._log.append(final)
        assert self.run.state is not None
        self._log.set_head(Head(self.run.state, Detail.NONE))

    def _stuck(self, error: Exception) -> None:
        if self.run.cancel_reason is not None:
            # Somebody wants it to end, and the code that could clean up after it is not here.
            self._end(ev.RunCancelled(self._now(), self.run.cancel_reason))
            return
        self.close()
        assert self.run.state is not None
        self._obstacle = error
        self._log.set_head(Head(self.run.state, Detail.STUCK, note=str(error)))

    def _perform(self, wait: Wait) -> None:
        request = wait.request
        match request:
            case StepRequest():
                retry = self.run.retries.get(wait.key)
                if retry is not None:
                    self._alarm(wait.key, retry.next_us, lambda: self._retry(wait, retry.attempt))
                else:
                    self._start_when_stored(wait, request, 1)
            case TimerRequest():
                if wait.key not in self.run.timers:
                    key = wait.key
                    self._log.append(ev.TimerStarted(self._now(), key.path, key.name, key.occurrence, request.due_us))
                self._alarm(wait.key, self.run.timers[wait.key], lambda: self._fire(wait.key))
            case ChildRequest():
                key = wait.key
                if key not in self.run.children:
                    place = (key.path, key.name, key.occurrence)
                    self._log.append(ev.ChildStarted(self._now(), *place, request.fingerprint, request.child))
                    self._log.flush()
                self._children[request.child] = key
                self._host.start_child(self, request)
            case _:
                assert_never(request)

    def _start_when_stored(self, wait: Wait, request: StepRequest, attempt: int) -> None:
        """Start a step once everything the run has seen so far is committed; at once if the step may run ahead of
        that."""
        may_run_ahead = request.definition.pure or self._host.durability.level is Level.SNAPSHOT
        if may_run_ahead or self._seen <= self._log.stored:
            self._start_step(wait, attempt)
        else:
            self._gate.hold(self._seen, lambda: self._start_if_waited_for(wait, attempt))

    def _start_if_waited_for(self, wait: Wait, attempt: int) -> None:
        if not self.is_ended and wait.key in self.execution.waits:
            self._start_step(wait, attempt)

    def _cancel_child(self, child: str) -> None:
        """Cancel a child once what made the run give it up is committed: a crash may take it back until then."""
        if self._seen <= self._log.stored:
            self._host.cancel_child(self, child)
        else:
            self._gate.hold(self._seen, lambda: self._host.cancel_child(self, child))
            self._log.flush()

    def _drop(self, key: Key) -> None:
        task = self._steps.pop(key, None)
        if task is not None:
            task.cancel()
        alarm = self._alarms.pop(key, None)
        if alarm is not None:
            alarm.cancel()
        if key in self.run.children:
            # That it is abandoned is recorded when its cancellation is, so that a crash in between forgets neither.
            self._cancel_child(self.run.children[key])
        elif key in self.run.timers or key in self.run.retries:
            self._abandon(key)

    def _abandon(self, key: Key) -> None:
        self._log.append(ev.WaitAbandoned(self._now(), key.path, key.name, key.occurrence, key.kind.value))

    def _publish_detail(self) -> None:
        """Keep the run's row true while it waits; a run that only executes steps costs no write here."""
        if self.is_ended:
            return
        detail = detail_of(self.run, executing=bool(self._steps) or not self._gate.is_empty)
        if self.is_releasing:
            # What `release` wrote of when to wake it is not true any more.
            self._log.set_head(Head(State.RUNNING, detail, release=True))
        elif detail is not self._detail:
            self._detail = detail
            self._host.note_waiting(self, is_waiting=detail in WAITING)
            self._log.set_head(Head(State.RUNNING, detail, self._row_wake_us()))
        elif self._host.durability.level is Level.SNAPSHOT and not self._steps:
            self._log.flush()

    def _row_wake_us(self) -> int | None:
        """When a process that finds the run unowned must look at it: with its next timer if nothing else can move it,
        at once otherwise. Perhaps a step was cut off, a child has ended, or a cancellation was not seen."""
        moves = self._steps or not self._gate.is_empty or self.run.children or self.run.cancel_reason is not None
        return None if moves else self.wake_us

    # Steps and timers.

    def _start_step(self, wait: Wait, attempt: int) -> None:
        # A run that is being released leaves memory with this commit; whoever loads it next starts the step.
        if not self.is_releasing:
            self._steps[wait.key] = self._host.spawn(self, wait, attempt)

    async def run_step(self, wait: Wait, attempt: int) -> None:
        """One attempt of a step and the record of what came of it."""
        request = wait.request
        assert isinstance(request, StepRequest)
        result = await self._host.steps.attempt(request, attempt)
        key = wait.key
        self._steps.pop(key, None)
        if self.is_ended or key not in self.execution.waits:
            return
        place = (key.path, key.name, key.occurrence, request.fingerprint)
        match result:
            case Returned(payload, value, duration_us):
                wait.value = value
                self._log.append(ev.StepCompleted(self._now(), *place, payload, attempt, duration_us))
            case Raised(error, None, duration_us):
                self._log.append(ev.StepFailed(self._now(), *place, error, attempt, duration_us))
            case Raised(error, int() as retry_after_us, duration_us):
                now_us = self._now()
                next_us = now_us + retry_after_us
                self._log.append(ev.StepRetrying(now_us, *place, error, attempt, next_us, duration_us))

    def _schedule_retry(self, event: ev.StepRetrying) -> None:
        key = Key(Kind.STEP, event.path, event.name, event.occurrence)
        wait = self.execution.waits.get(key)
        if wait is not None:
            self._alarm(key, event.next_us, lambda: self._retry(wait, event.attempt + 1))

    def _retry(self, wait: Wait, attempt: int) -> None:
        self._alarms.pop(wait.key, None)
        assert isinstance(wait.request, StepRequest)
        if not self.is_ended:
            self._start_when_stored(wait, wait.request, attempt)
            self._publish_detail()

    def _fire(self, key: Key) -> None:
        self._alarms.pop(key, None)
        if not self.is_ended:
            self._log.append(ev.TimerFired(self._now(), key.path, key.name, key.occurrence))
            self._publish_detail()

    def _alarm(self, key: Key, due_us: int, callback: Callable[[], None]) -> None:
        self._alarms[key] = self._host.timers.at(due_us, callback)

    def _now(self) -> int:
        return self._host.clock.now_us()
