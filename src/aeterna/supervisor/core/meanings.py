"""What the guards and the bookkeeping actions of the handover table mean, in terms of the machine's records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from aeterna.supervisor.core import restart
from aeterna.supervisor.core.records import HandoverPolicy, Machine
from aeterna.supervisor.core.restart import Death, Verdict
from aeterna.supervisor.core.vocabulary import Action, Event, Guard, Kind


@dataclass(frozen=True, slots=True)
class Situation:
    """What an edge is chosen by."""

    machine: Machine
    event: Event
    policy: HandoverPolicy

    def answer(self) -> restart.Answer:
        """What the restart policy says to the death."""
        death = self.event.death or Death(code=None)
        return restart.judge(self.policy.restart, death, self.machine.deaths_ms, self.event.now_ms, self.event.chance)


def _moves_state(now: Situation) -> bool:
    return now.policy.moves_state and bool(now.machine.old)


def _may_step_back(now: Situation) -> bool:
    machine = now.machine
    return machine.step > 0 and not machine.has_stepped_back and not machine.is_held


def _none_left(now: Situation) -> bool:
    old = 0 if now.event.kind is Kind.OLD_DIED else now.machine.old
    new = 0 if now.event.kind is Kind.NEW_DIED else now.machine.new
    return not old and not new


def _restarts(*, now_at_once: bool) -> Callable[[Situation], bool]:
    def holds(now: Situation) -> bool:
        answer = now.answer()
        return answer.verdict is Verdict.RESTART and (answer.delay_ms == 0) is now_at_once

    return holds


GUARDS: Mapping[Guard, Callable[[Situation], bool]] = {
    Guard.STOPS_FIRST: lambda now: now.policy.stops_first,
    Guard.MOVES_STATE: _moves_state,
    Guard.SHARES_STATE: lambda now: now.policy.shares_state and bool(now.machine.old),
    Guard.ABORTS_WITHOUT_STATE: lambda now: now.policy.aborts_without_state,
    Guard.SOAKS: lambda now: now.policy.soak_ms > 0 or len(now.policy.weights) > 1,
    Guard.HAS_MORE_STEPS: lambda now: now.machine.step < len(now.policy.weights) - 1,
    Guard.IS_HELD: lambda now: now.machine.is_held,
    Guard.MAY_STEP_BACK: _may_step_back,
    Guard.MAY_EXTEND: lambda now: bool(now.event.reason) and not now.machine.has_extended,
    Guard.SAYS_NOTHING: lambda now: bool(now.event.reason),
    Guard.OLD_LOST: lambda now: not now.machine.old,
    Guard.NEW_LIVES: lambda now: bool(now.machine.new),
    Guard.IS_PAUSED: lambda now: now.machine.is_paused,
    Guard.IS_COLD: lambda now: now.machine.is_cold,
    Guard.MAY_QUEUE: lambda now: now.policy.queues or now.event.must_queue,
    Guard.RESTARTS_NOW: _restarts(now_at_once=True),
    Guard.RESTARTS_LATER: _restarts(now_at_once=False),
    Guard.IS_DONE: lambda now: now.answer().verdict is Verdict.LEAVE,
    Guard.NONE_LEFT: _none_left,
}


def _begin(machine: Machine, _now: Situation) -> Machine:
    return replace(
        machine,
        txn=machine.txn + 1,
        step=0,
        is_held=False,
        has_stepped_back=False,
        has_extended=False,
        is_cold=False,
        reason="",
    )


def _start(machine: Machine, _now: Situation) -> Machine:
    """A cold start: the process is the only one, so it holds the lease from its first moment."""
    fresh = machine.last + 1
    return replace(machine, old=fresh, last=fresh, lease=fresh)


def _start_fresh(machine: Machine, now: Situation) -> Machine:
    """It is what a reload that waits would start, too."""
    return replace(_start(machine, now), is_queued=False, deaths_ms=(), reason="")


def _spawn_new(machine: Machine, _now: Situation) -> Machine:
    return replace(machine, new=machine.last + 1, last=machine.last + 1)


def _forget_new(machine: Machine, _now: Situation) -> Machine:
    return replace(machine, new=0, lease=0 if machine.lease == machine.new else machine.lease)


def _forget_old(machine: Machine, _now: Situation) -> Machine:
    return replace(machine, old=0, lease=0 if machine.lease == machine.old else machine.lease)


def _replace_old(machine: Machine, _now: Situation) -> Machine:
    return replace(machine, old=machine.new, new=0)


def _pause(machine: Machine, now: Situation) -> Machine:
    """With exclusive state one generation stops accepting before the other one begins."""
    return replace(machine, is_paused=machine.is_paused or now.policy.moves_state)


def _count_death(machine: Machine, now: Situation) -> Machine:
    answer = now.answer()
    return replace(machine, deaths_ms=answer.deaths_ms, delay_ms=answer.delay_ms, reason=answer.reason)


BOOKKEEPING: Mapping[Action, Callable[[Machine, Situation], Machine]] = {
    Action.BEGIN: _begin,
    Action.START_OLD: _start,
    Action.START_FRESH: _start_fresh,
    Action.SPAWN_NEW: _spawn_new,
    Action.GRANT_NEW: lambda machine, _now: replace(machine, lease=machine.new),
    Action.GRANT_OLD: lambda machine, _now: replace(machine, lease=machine.old),
    Action.ASK_QUIESCE: lambda machine, _now: replace(machine, is_paused=True),
    Action.ACCEPT_NEW: _pause,
    Action.FENCE_NEW: _pause,
    Action.LOSE_STATE: lambda machine, _now: replace(machine, is_cold=True),
    Action.STOP_ALL: lambda machine, _now: replace(machine, is_queued=False),
    Action.FORGET_NEW: _forget_new,
    Action.FORGET_OLD: _forget_old,
    Action.REPLACE_OLD: _replace_old,
    Action.STEP_ON: lambda machine, _now: replace(machine, step=machine.step + 1),
    Action.STEP_BACK: lambda machine, _now: replace(machine, step=machine.step - 1, has_stepped_back=True),
    Action.EXTEND: lambda machine, _now: replace(machine, has_extended=True),
    Action.HOLD: lambda machine, _now: replace(machine, is_held=True),
    Action.QUEUE: lambda machine, _now: replace(machine, is_queued=True),
    Action.COUNT_DEATH: _count_death,
}
