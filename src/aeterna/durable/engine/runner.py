"""One run in this process: joins its workflow code, its log, and the work it asked for.

The cycle is always the same. Events become deliverable; the workflow code sees them one at a time and settles; what
it asks for and gives up is acted on; what comes of that is appended to the log, and becomes deliverable in its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aeterna.durable.core import events as ev
from aeterna.durable.core.fold import Run, detail_of, next_wake_us
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.durability import Level
from aeterna.durable.engine.execution import Execution
from aeterna.durable.engine.host import WAITING, Host
from aeterna.durable.engine.messages import record
from aeterna.durable.engine.run_log import RunLog
from aeterna.durable.engine.work import Work
from aeterna.durable.stores.contract import NEVER_US, Head, Message, MessageKind
from aeterna.kernel.errors import NotDurableError

WAITS_FOR_NOTHING = (
    "waits for something that cannot come: no step, timer, child or signal could wake it. "
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
        self.is_handed_over = False
        self.was_fenced = False
        self.host = host
        self._loop = asyncio.get_running_loop()
        self.log: RunLog
        self.work = Work(self)
        self.seen = 0
        self._detail = Detail.LEASED
        self._note = ""
        self._final: ev.RunCompleted | ev.RunFailed | ev.RunCancelled | None = None
        self._obstacle: Exception | None = None
        self._released_at = 0
        self._pump_is_due = False
        self._snapshot_alarm: asyncio.TimerHandle | None = None

    # Life.

    def start(
        self,
        log: RunLog,
        history: list[ev.AnyEvent],
        messages: Sequence[Message] = (),
        *,
        taken_over_by: int | None = None,
    ) -> None:
        """Bring the workflow code to where its history ends and go on from there. Call it from a plain callback.

        ``log.run`` must be the fold of ``history``; ``messages`` is what the inbox holds. ``taken_over_by``: the
        session to record as the one that goes on.
        """
        self.log = log
        self.run = log.run
        self.seen = log.stored
        started = None if taken_over_by is None else ev.RunStarted(self.now_us(), taken_over_by)
        try:
            has_run = started is not None and any(type(event) is ev.RunStarted for event in history)
            self.execution.replay(history, is_first_time=not has_run, started=started)
        except Exception as error:  # noqa: BLE001 - code that fails outside its own task must not leave the run unheard
            # Signals stay for code that fits; what asked for this very trial is answered by it.
            asked = [message for message in messages if message.kind in (MessageKind.CANCEL, MessageKind.RESUME)]
            record(asked, log, self.now_us())
            self._stuck(error)
            return
        if started is not None:
            log.append(started)
            self._detail = Detail.NONE
        for key in [*self.run.timers, *self.run.children, *self.run.retries]:
            if key not in self.execution.waits:
                # The code gave it up in an earlier process, which ended before it could record that.
                self.work.drop(key)
        # Before anything begins: a pause must keep it from that.
        record(messages, self.log, self.now_us())
        self._act()
        if messages:
            log.flush()

    def cancel(self, reason: str) -> bool:
        """Record a request to cancel; False if there is one already or the run has ended."""
        if self.is_ended or self.run.cancel_reason is not None:
            return False
        self.log.append(ev.CancelRequested(self.now_us(), reason))
        # Together with the request, so that a process that finds both does not sleep on.
        self.publish_detail()
        self.log.flush()
        return True

    def receive(self, messages: Sequence[Message]) -> None:
        """Record what is in the run's inbox; what is recorded already is passed over. Call it from a plain callback."""
        if self.is_ended or self.is_releasing:
            # They stay there, for whoever has the run next.
            return
        record(messages, self.log, self.now_us())
        self.publish_detail()
        self.log.flush()

    def go_on(self) -> None:
        """What held steps back may be over."""
        if not self.is_ended:
            self.work.go_on()
            self.publish_detail()

    def child_ended(self, child: str, result: ev.Payload | None, error: ev.ErrorRecord | None) -> None:
        """The child run has ended with a result or an error."""
        key = self.work.forget_child(child)
        if key is None or key not in self.run.children or self.is_ended:
            return
        place = (key.path, key.name, key.occurrence)
        if error is not None:
            self.log.append(ev.ChildFailed(self.now_us(), *place, error))
        else:
            self.log.append(ev.ChildCompleted(self.now_us(), *place, result or ev.Payload(b"jnull")))
        self.publish_detail()

    def child_given_up(self, child: str) -> None:
        """The child's cancellation is recorded in its own history, or it has ended, or it never began."""
        if self.is_ended and self._final is None:
            return
        for key in [key for key, known in self.run.children.items() if known == child]:
            self.work.abandon(key)
            self.publish_detail()
        self._end_without_children()

    @property
    def wake_us(self) -> int | None:
        """When a process that finds the run unowned must look at it: with its next timer if nothing but that or a
        message can move it; at once (None) otherwise. Perhaps a step was cut off, a child has ended, or a cancellation
        was not seen."""
        run = self.run
        if self.work.is_executing or run.children or run.cancel_reason is not None:
            return None
        if run.is_paused:
            return NEVER_US
        wake_us = next_wake_us(run)
        return NEVER_US if wake_us is None and self.execution.signals.is_waited_for else wake_us

    @property
    def is_waiting(self) -> bool:
        """The run only waits for its own timers or for messages, and everything it recorded is committed: it may leave
        memory.

        One that waits for a child stays: its row could not say when to look at it again.
        """
        return not self.is_ended and self.log.is_clean and self.wake_us is not None

    def release(self) -> None:
        """Let a waiting run leave memory: once the store knows, `Host.released` is called, and anybody may claim it
        when its timer is due."""
        self.is_releasing = True
        self._released_at = self.run.length
        detail, note = self._occupation()
        self.log.set_head(Head(State.RUNNING, detail, self.wake_us, release=True, note=note))

    def hand_over(self) -> None:
        """Let the run leave memory while nothing of it is in flight, for another worker to go on with at once."""
        self.is_releasing = self.is_handed_over = True
        self.log.set_head(Head(State.RUNNING, detail_of(self.run, executing=True), release=True))

    @property
    def has_moved_on(self) -> bool:
        """Something was recorded after `release` had written the row, which says when to claim the run."""
        return not self.is_handed_over and self.run.length != self._released_at

    def close(self) -> list[asyncio.Task[None]]:
        """Leave this process's memory; nothing more is recorded. Returns the tasks of steps that were cancelled."""
        self.is_ended = True
        tasks = self.work.close()
        if self._snapshot_alarm is not None:
            self._snapshot_alarm.cancel()
        self.execution.close()
        return tasks

    def flush(self) -> None:
        """Commit what is recorded now."""
        self.log.flush()

    # The log's side.

    def wake(self) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon(self._pump)

    def on_stored(self) -> None:
        if self._snapshot_alarm is not None and self.log.is_clean:
            self._snapshot_alarm.cancel()
            self._snapshot_alarm = None
        if self.work.stored(self.log.stored):
            self.publish_detail()
        if not self.log.is_clean:
            return
        if self.run.state is not None and self.run.state.is_final:
            self.host.finished(self)
        elif self._obstacle is not None:
            self.host.stuck(self, self._obstacle)
        elif self.is_releasing:
            self.is_releasing = False
            self.host.released(self)

    def on_fenced(self) -> None:
        self.was_fenced = True
        if not self.is_ended:
            self.host.fenced(self)

    def start_snapshot_timer(self) -> None:
        if self._snapshot_alarm is None:
            self._snapshot_alarm = self._loop.call_later(self.host.durability.snapshot_ms / 1000, self._snapshot)

    def _snapshot(self) -> None:
        self._snapshot_alarm = None
        self.log.flush()

    # The cycle.

    def _pump(self) -> None:
        self._pump_is_due = False
        if self.is_ended or self.is_releasing:
            # While it is being given up, somebody may have taken it already: it goes on when it is back in memory.
            return
        try:
            for event in self.log.next_events():
                self.execution.deliver(event)
                if type(event) is ev.StepRetrying:
                    self.work.schedule_retry(event)
                elif type(event) is ev.RunResumed or type(event) is ev.CancelRequested:
                    self.work.go_on()
        except Exception as error:  # noqa: BLE001 - see `start`
            self._stuck(error)
            return
        self.seen = self.run.length
        self._act()

    def _act(self) -> None:
        execution = self.execution
        for wait in execution.take_abandoned():
            self.work.drop(wait.key)
        if self.run.is_paused:
            # Neither what the code asks for nor its end: both come when it is resumed.
            self.publish_detail()
            return
        final = execution.outcome(self.now_us())
        if final is not None:
            self._end(final)
            return
        for wait in execution.take_requests():
            self.work.perform(wait)
        if not execution.waits and not self.run.children:
            self._stuck(NotDurableError(f"run {self.id!r} {WAITS_FOR_NOTHING}"))
            return
        self.publish_detail()

    def _end(self, final: ev.RunCompleted | ev.RunFailed | ev.RunCancelled) -> None:
        self.close()
        self._final = final
        for child in [*self.run.children.values()]:
            self.work.cancel_child(child)
        self._end_without_children()

    def _end_without_children(self) -> None:
        """Record the end, but not before the children left behind are cancelled: who ended is never looked at again."""
        if self._final is None or self.run.children:
            return
        final, self._final = self._final, None
        self.log.append(final)
        assert self.run.state is not None
        self.log.set_head(Head(self.run.state, Detail.NONE))

    def _stuck(self, error: Exception) -> None:
        if self.run.cancel_reason is not None:
            # Somebody wants it to end, and the code that could clean up after it is not here.
            self._end(ev.RunCancelled(self.now_us(), self.run.cancel_reason))
            return
        self.close()
        assert self.run.state is not None
        self._obstacle = error
        self.log.set_head(Head(self.run.state, Detail.STUCK, note=str(error)))

    def publish_detail(self) -> None:
        """Keep the run's row true while it waits; a run that only executes steps costs no write here."""
        if self.is_ended or self._is_executing_as_told:
            return
        detail, note = self._occupation()
        if self.is_releasing:
            # What `release` wrote of when to wake it is not true any more.
            self.log.set_head(Head(State.RUNNING, detail, release=True, note=note))
        elif detail is not self._detail or note != self._note:
            self._detail, self._note = detail, note
            self.host.note_waiting(self, is_waiting=detail in WAITING)
            self.log.set_head(Head(State.RUNNING, detail, self.wake_us, note=note))
        elif self.host.durability.level is Level.SNAPSHOT and not self.work.has_steps:
            self.log.flush()

    @property
    def _is_executing_as_told(self) -> bool:
        """Steps run, and the row says so: by far the most frequent case."""
        return (
            self._detail is Detail.LEASED
            and self.work.has_steps
            and not self.is_releasing
            and self.run.cancel_reason is None
        )

    def _occupation(self) -> tuple[Detail, str]:
        """What the run does, and in words what it waits for."""
        if self.work.is_executing:
            return detail_of(self.run, executing=True), ""
        signals = self.execution.signals
        detail = detail_of(self.run, executing=False, signals=signals.is_waited_for)
        return detail, signals.describe() if detail is Detail.WAITING_SIGNAL else ""

    def now_us(self) -> int:
        return self.host.clock.now_us()
