"""One service: its machine, its processes, and the events that move it.

Events come from everywhere (exits, notices, timers, operators) and are decided one at a time by the pure core; the
actions that come out are performed by `Performer`, in order. Nothing else changes the machine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import msgspec

from aeterna.config.spec import ServiceSpec, Strategy
from aeterna.supervisor import policies
from aeterna.supervisor.core.machine import decide
from aeterna.supervisor.core.records import Decision, HandoverPolicy, Machine
from aeterna.supervisor.core.vocabulary import PHASES, Action, Event, Kind, State
from aeterna.supervisor.deadlines import Deadlines
from aeterna.supervisor.endings import Ending, death_of, ending_of
from aeterna.supervisor.fd_store import FdStore
from aeterna.supervisor.host.keeping import Exit
from aeterna.supervisor.host.logs import Level
from aeterna.supervisor.host.notify import Notice, Watchdog
from aeterna.supervisor.house import House
from aeterna.supervisor.instances import Instance
from aeterna.supervisor.moving import Moving
from aeterna.supervisor.performing import Performer
from aeterna.supervisor.reports import Report
from aeterna.supervisor.traffic import Traffic
from aeterna.supervisor.verdicts import Verdicts
from aeterna.supervisor.watching import Watch

QUIET = frozenset({State.STOPPED, State.FAILED, State.RUNNING, State.BACKOFF})
LEAVING = frozenset({State.VACATE, State.DRAIN})
"""The old generation leaves because it was told to."""
HANDOVER = frozenset(State) - QUIET - {State.STARTING, State.STOPPING}


class Service:
    """One service of the configuration.

    ``good``: the version that serves, or served last, which a fallback starts; ``previous``: the one before it;
    ``wanted``: the version of the handover under way or of the next cold start.
    """

    def __init__(self, spec: ServiceSpec, house: House, moving: Moving) -> None:
        self.house = house
        self.good = spec
        self.previous: ServiceSpec | None = None
        self.wanted = spec
        self.machine = Machine()
        self.policy: HandoverPolicy = policies.of(spec)
        self.instances: dict[int, Instance] = {}
        self.traffic = Traffic(lambda text: house.say(text, spec.name, level=Level.WARNING))
        self.moving = moving
        self.store = FdStore(spec.name, house.keeping, lambda text: house.say(text, spec.name, level=Level.WARNING))
        self.watch: Watch | None = None
        self.report: Report | None = None
        self.restarts = 0
        self.last_ending: Ending | None = None
        self.weight_by_hand = 0
        self.requested_by = self.note = ""
        self.opened: list[str] = []
        """Listeners that only the version of the handover under way has."""
        self.is_stopping = False
        self.entered_us = house.clock.now_us()
        self.settled = asyncio.Event()
        """Set while nothing of it runs and nothing will start by itself."""
        self.settled.set()
        self.last_death: Exit | None = None
        self.verdicts = Verdicts(self)
        self._performer = Performer(self)
        self._events: deque[Event] = deque()
        self._is_deciding = False
        self._deadlines = Deadlines(self)

    @property
    def name(self) -> str:
        return self.good.name

    @property
    def spec(self) -> ServiceSpec:
        """The version that serves."""
        return self.good

    @property
    def old(self) -> Instance | None:
        return self.instances.get(self.machine.old)

    @property
    def new(self) -> Instance | None:
        return self.instances.get(self.machine.new)

    @property
    def phase(self) -> str:
        return PHASES[self.machine.state]

    @property
    def last_exit(self) -> str:
        """How the last process ended that was not told to; empty if none has."""
        return self.last_ending.how if self.last_ending else ""

    @property
    def is_ready(self) -> bool:
        """Whether some generation serves."""
        return self.machine.state is State.RUNNING or self.machine.state in HANDOVER

    # --- events ------------------------------------------------------------------------------------------------------

    def post(self, event: Event) -> Decision | None:
        """Decide on an event; returns the decision, or None if it has to wait for the one under way."""
        self._events.append(event)
        if self._is_deciding:
            return None
        self._is_deciding = True
        first: Decision | None = None
        try:
            while self._events:
                decision = self._decide(self._events.popleft())
                first = first or decision
        finally:
            self._is_deciding = False
        return first

    def would_refuse(self, kind: Kind, *, must_queue: bool = False) -> bool:
        """Whether an operator's request has no place in the present state."""
        return decide(self.machine, Event(kind, must_queue=must_queue), self.policy).is_refused

    def say(self, kind: Kind, reason: str = "", *, txn: int = 0) -> Decision | None:
        """Post a plain event, now."""
        return self.post(Event(kind, self.house.now_ms(), txn=txn, reason=reason, chance=self.house.chance.random()))

    def _decide(self, event: Event) -> Decision:
        before = self.machine
        decision = decide(before, event, self.policy)
        self.machine = decision.machine
        self._blame(decision, event.reason)
        if decision.machine.state is not before.state:
            self._moved(before, event)
        self._performer.perform(decision)
        if decision.rearms:
            self._deadlines.arm()
        self._deadlines.follow_pause(before)
        if decision.machine != before:
            self.house.save()
        if decision.runs_queued and not self.is_stopping:
            self.house.reload_queued(self.name)
        return decision

    def _blame(self, decision: Decision, reason: str) -> None:
        """Note why a process is about to be killed, because its exit does not say it."""
        for step in decision.steps:
            instance = self.instances.get(step.generation)
            if instance is not None and step.action in (Action.KILL_OLD, Action.KILL_NEW):
                instance.blame = instance.blame or reason

    def _moved(self, before: Machine, event: Event) -> None:
        now_us = self.house.clock.now_us()
        state = self.machine.state
        self.house.metrics.set_state(self.name, self.phase)
        self.verdicts.enter(before.state, state, (now_us - self.entered_us) / 1000)
        self.entered_us = now_us
        self.settle()
        reason = f" ({event.reason})" if event.reason else ""
        about = self.machine.new or self.machine.old or before.new or before.old
        self.tell(f"{before.state.name} -> {state.name} on {event.kind.name}{reason}", about)
        self.house.emit(
            "service.state",
            {
                "service": self.name,
                "from": before.state.name,
                "to": state.name,
                "event": event.kind.name,
                "reason": event.reason,
                "generation": self.machine.new or self.machine.old,
                "reload": self.report.id if self.report and self.report.result is None else None,
            },
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs and nothing will start by itself."""
        return self.machine.state in (State.STOPPED, State.FAILED) and not self.instances

    def settle(self) -> None:
        """Say whether it is over."""
        if self.is_over:
            self.settled.set()
            self.house.settled()
        else:
            self.settled.clear()

    def tell(self, text: str, generation: int = 0) -> None:
        """Something for people to read, in the log."""
        self.house.say(text, self.name, generation)

    # --- what happens to processes -----------------------------------------------------------------------------------

    def served_colours(self) -> frozenset[int]:
        """The colours that some process accepts from, or will as soon as it can."""
        return frozenset(each.colour for each in self.instances.values() if each.accepts)

    def stop_watching(self) -> None:
        """Nobody is watched from now on."""
        if self.watch is not None:
            self.watch.stop()
            self.watch = None

    def in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Carry something on until it ends or the service is closed."""
        _ = self._performer.in_background(coroutine)

    def tend(self) -> None:
        """Who accepts has changed."""
        self._performer.tend()

    def find(self, token: str) -> Instance | None:
        """The process that was started under this token."""
        return next((each for each in self.instances.values() if each.token == token), None)

    def ended(self, instance: Instance, found: Exit | None) -> None:
        """A process is gone, or never came to be."""
        instance.ended(found)
        self.house.emit(
            "process.ended",
            {
                "service": self.name,
                "generation": instance.generation,
                "pid": instance.pid,
                "how": instance.how_it_ended(),
            },
        )
        generation = instance.generation
        if not instance.is_retired or generation in (self.machine.old, self.machine.new):
            self.last_death = found
            if generation != self.machine.old or self.machine.state not in LEAVING:
                lines = self.house.logs.tail(self.name, generation)
                self.last_ending = ending_of(instance, lines, self.house.clock.now_us())
        if generation == self.machine.new:
            self.verdicts.note_tail(generation)
        self._bury(instance)
        # Only after its successor is on its way: looking through all processes takes a while.
        self.in_background(instance.clear_up())
        if generation == self.machine.new:
            self.post(self._death(Kind.NEW_DIED, instance))
        elif generation == self.machine.old:
            self.post(self._death(Kind.OLD_DIED, instance))
        self.settle()
        self._performer.tend()
        self.house.save()

    def hear(self, instance: Instance) -> None:
        """Take the notices that wait."""
        for notice in instance.notify.receive() if instance.notify is not None else ():
            self.noticed(instance, notice)

    def noticed(self, instance: Instance, notice: Notice) -> None:
        """A process said how it is. Only those that belong to the instance are believed."""
        if notice.pid != instance.pid and not instance.includes(notice.pid):
            self.tell(f"a notice of process {notice.pid}, a stranger, was ignored", instance.generation)
            notice.close_fds()
            return
        instance.take(notice, self.house.clock.monotonic_us())
        if notice.resets_restarts:
            self.machine = replace(self.machine, deaths_ms=())
        if notice.watchdog is Watchdog.TRIGGER:
            self.say(Kind.UNHEALTHY, "the process asked to be treated as hanging")
        data = {"service": self.name, "generation": instance.generation, "fields": dict(notice.fields)}
        self.house.emit("process.notice", data)
        self.store.take(notice)

    def _death(self, kind: Kind, instance: Instance) -> Event:
        how = instance.how_it_ended()
        return Event(
            kind,
            self.house.now_ms(),
            reason=f"died in {self.phase}: {how}" if kind is Kind.NEW_DIED else how,
            death=death_of(instance, self.house.clock.now_us()),
            chance=self.house.chance.random(),
        )

    def _bury(self, instance: Instance) -> None:
        self.instances.pop(instance.generation, None)
        instance.close()
        self.house.keeping.drop(f"notify:{instance.token}")
        self.moving.forget(instance)

    # --- operators ---------------------------------------------------------------------------------------------------

    def reload(
        self, spec: ServiceSpec, *, kind: Kind, by: str, note: str = "", strategy: str = "", must_queue: bool = False
    ) -> Decision:
        """Begin a handover to ``spec``, if the state allows it."""
        event = Event(kind, self.house.now_ms(), must_queue=must_queue, chance=self.house.chance.random())
        wanted = _with_strategy(spec, strategy)
        if decide(self.machine, event, policies.of(wanted)).begins:
            # One that has to wait is read anew when its turn comes.
            self.go_by(wanted)
            self.requested_by, self.note = by, note
        decision = self.post(event)
        assert decision is not None, "an operator's request is never made while another event is decided"
        return decision

    def go_by(self, spec: ServiceSpec) -> None:
        """Want this version from now on; its configuration decides."""
        self.wanted = spec
        self.policy = policies.of(spec)

    def stop(self) -> None:
        """End it, for good."""
        self.is_stopping = True
        self.say(Kind.STOP, "stopped")

    def kill(self) -> None:
        """End it at once."""
        for instance in list(self.instances.values()):
            instance.kill()

    async def close(self, *, is_last: bool) -> None:
        """Let go of everything; ``is_last``: no other daemon will go on with it."""
        self._deadlines.stop()
        self.stop_watching()
        await self._performer.close()
        for instance in self.instances.values():
            instance.close(unlink=is_last)
        self.store.close()
        await self.traffic.close(unlink=is_last)
        await self.moving.close(unlink=is_last)


def _with_strategy(spec: ServiceSpec, strategy: str) -> ServiceSpec:
    """The service with another strategy for one reload; an empty one changes nothing."""
    return msgspec.structs.replace(spec, strategy=Strategy(strategy)) if strategy else spec
