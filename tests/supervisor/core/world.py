"""A small world that does what the handover machine asks for, and knows what really runs.

It stands for the daemon and the processes: who lives, who accepts, who may change state. What the machine believes is
compared with it. Work that is waited for is done in small steps, so that it can be cut off in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aeterna.supervisor.core.deadlines import deadline_ms
from aeterna.supervisor.core.machine import decide
from aeterna.supervisor.core.records import Decision, HandoverPolicy, Machine, Step
from aeterna.supervisor.core.restart import Death
from aeterna.supervisor.core.vocabulary import Action, Event, Kind, State

ASKS = frozenset(
    {Action.RUN_CHECKS, Action.SPAWN_NEW, Action.AWAIT_READY, Action.ASK_PRECOPY, Action.ASK_QUIESCE}
    | {Action.ASK_SNAPSHOT, Action.ASK_RESTORE, Action.JOURNAL, Action.GRANT_NEW, Action.GRANT_OLD}
    | {Action.ACCEPT_NEW, Action.FENCE_NEW, Action.RESUME_OLD}
)
"""What is waited for; everything else is done at once."""
VERDICTS = frozenset(
    {Action.SUCCEED, Action.SUCCEED_COLD, Action.RECORD_ABORTED, Action.RECORD_ROLLED_BACK, Action.RECORD_DEGRADED}
)
CRASH = Death(code=1, lifetime_ms=100)
KILLED = Death(code=None, os_signal=9, lifetime_ms=100)
UNDECIDED = frozenset(
    {State.PREFLIGHT, State.VACATE, State.SPAWN, State.WARMING, State.PRECOPY, State.QUIESCE, State.SNAPSHOT}
    | {State.RESTORE, State.COMMIT, State.SOAK, State.SOAK_NO_NET, State.PROMOTE, State.ABORT, State.ROLLBACK}
)
"""Where a handover has no verdict yet."""


@dataclass(slots=True)
class Process:
    """One generation. ``is_leaving``: it was asked to end, and may live on for a while; ``is_killed``: it does nothing
    any more, but its death was not told yet."""

    accepts: bool = False
    has_lease: bool = False
    is_leaving: bool = False
    is_killed: bool = False


class World:
    """One service with everything that runs of it."""

    def __init__(self, policy: HandoverPolicy) -> None:
        self.policy = policy
        self.machine = Machine()
        self.now_ms = 0
        self.processes: dict[int, Process] = {}
        self.work: list[Callable[[], None]] = []
        """What is left of the work that the state waits for."""
        self.is_working = False
        self.verdicts: dict[int, list[Action]] = {}
        self.last = Decision(self.machine, (), rearms=False)
        self._stops_first_txn = 0

    # --- events ------------------------------------------------------------------------------------------------------

    def post(self, kind: Kind, reason: str = "", *, death: Death | None = None, must_queue: bool = False) -> Decision:
        """Tell the machine, and do what it says."""
        self.now_ms += 1
        before = self.machine
        event = Event(kind, self.now_ms, before.txn, reason, death, must_queue=must_queue)
        self.last = decision = decide(before, event, self.policy)
        self.machine = decision.machine
        asked = [step for step in decision.steps if step.action in ASKS]
        for step in decision.steps:
            if step.action not in ASKS:
                self._do(step, kind)
        if asked:
            self.work = [effect for step in asked for effect in self._effects(step)]
            self.is_working = True
        return decision

    def work_on(self, progress: int) -> None:
        """Do that many small steps of what is under way."""
        for _ in range(min(progress, len(self.work))):
            self.work.pop(0)()

    def finish(self) -> Decision:
        """The work is done."""
        self.work_on(len(self.work))
        self.is_working = False
        return self.post(Kind.OK)

    def fail(self, kind: Kind, progress: int) -> Decision:
        """The work fails on the way."""
        self.work_on(progress)
        self._drop_work()
        return self.post(kind, f"{kind} in {self.machine.state}")

    def recover(self, progress: int) -> Decision:
        """The daemon dies with its work half done, and another one takes over."""
        self.work_on(progress)
        self._drop_work()
        return self.post(Kind.RECOVERED)

    def die(self, generation: int, death: Death = CRASH) -> Decision | None:
        """A process ends, for whatever reason."""
        del self.processes[generation]
        if generation == self.machine.old:
            return self.post(Kind.OLD_DIED, "died", death=death)
        if generation == self.machine.new:
            return self.post(Kind.NEW_DIED, "died", death=death)
        return None

    def _drop_work(self) -> None:
        self.work, self.is_working = [], False

    # --- what is done at once ----------------------------------------------------------------------------------------

    def _do(self, step: Step, kind: Kind) -> None:
        if step.action in VERDICTS:
            self.verdicts[self._judged].append(step.action)
        process = self.processes.get(step.generation)
        match step.action:
            case Action.CANCEL_WORK:
                self._drop_work()
            case Action.BEGIN:
                assert self.machine.txn not in self.verdicts
                self.verdicts[self.machine.txn] = []
                self._stops_first_txn = self.machine.txn if kind is Kind.RESTART or self.policy.stops_first else 0
            case Action.START_OLD | Action.START_FRESH:
                assert process is None, "a generation is started once"
                self.processes[step.generation] = Process()
            case Action.VACATE_OLD:
                assert self._stops_first_txn == self.machine.txn, "only who stops first leaves without a verdict"
                self._leave(process)
            case Action.DRAIN_OLD:
                verdict = self.verdicts[self.machine.txn]
                assert verdict in ([Action.SUCCEED], [Action.SUCCEED_COLD]), "nobody leaves before there is success"
                self._leave(process)
            case Action.KILL_NEW:
                self._leave(process)
            case Action.KILL_OLD:
                self._kill(process)
            case Action.STOP_ALL:
                for each in self.processes.values():
                    self._leave(each)
            case Action.KILL_ALL:
                for each in self.processes.values():
                    self._kill(each)

    @property
    def _judged(self) -> int:
        """The handover a verdict is about: in a rescue the next one has begun in the same breath."""
        return next((txn for txn, verdicts in self.verdicts.items() if not verdicts), self.machine.txn)

    @staticmethod
    def _leave(process: Process | None) -> None:
        if process is not None:
            process.is_leaving, process.accepts = True, False

    @staticmethod
    def _kill(process: Process | None) -> None:
        if process is not None:
            process.is_killed, process.accepts, process.has_lease = True, False, False

    # --- what takes a while ------------------------------------------------------------------------------------------

    def _effects(self, step: Step) -> list[Callable[[], None]]:
        generation = step.generation
        match step.action:
            case Action.SPAWN_NEW:
                return [lambda: self.processes.setdefault(generation, Process()) and None]
            case Action.AWAIT_READY:
                return [lambda: self._ready(generation)]
            case Action.ASK_QUIESCE:
                # It is not known when it stops, so the worst is taken to be true.
                self._accept(generation, is_accepting=False)
                return [lambda: None]
            case Action.GRANT_NEW:
                old = self.machine.old
                return [lambda: self._lease(old, has_lease=False), lambda: self._lease(generation, has_lease=True)]
            case Action.GRANT_OLD:
                return [lambda: self._lease(generation, has_lease=True)]
            case Action.ACCEPT_NEW:
                old = self.machine.old if self.policy.moves_state else 0
                return [
                    lambda: self._accept(old, is_accepting=False),
                    lambda: self._accept(generation, is_accepting=True),
                ]
            case Action.FENCE_NEW:
                # It obeys at once or is killed, long before the deadline of whoever waits for it.
                self._fence(generation)
                return [lambda: None]
            case Action.RESUME_OLD:
                return [lambda: self._accept(generation, is_accepting=True)]
            case _:
                return [lambda: None]

    def _ready(self, generation: int) -> None:
        if generation == self.machine.old:
            # It starts alone, so nobody has to let it.
            self._accept(generation, is_accepting=True)
            self._lease(generation, has_lease=True)

    def _fence(self, generation: int) -> None:
        self._lease(generation, has_lease=False)
        if self.policy.moves_state:
            self._accept(generation, is_accepting=False)

    def _accept(self, generation: int, *, is_accepting: bool) -> None:
        process = self.processes.get(generation)
        if process is not None and not process.is_killed and not process.is_leaving:
            process.accepts = is_accepting

    def _lease(self, generation: int, *, has_lease: bool) -> None:
        process = self.processes.get(generation)
        if process is not None and not process.is_killed:
            process.has_lease = has_lease

    # --- what must hold ----------------------------------------------------------------------------------------------

    @property
    def lease_holders(self) -> list[int]:
        return [generation for generation, process in self.processes.items() if process.has_lease]

    @property
    def is_served(self) -> bool:
        return any(process.accepts for process in self.processes.values())

    @property
    def has_reason_not_to_serve(self) -> bool:
        """The blackout clock runs; or nothing is there that could serve, and something starts; or it is down; or it has
        been killed, and its death is about to be told."""
        machine = self.machine
        old = self.processes.get(machine.old)
        if old and old.is_killed:
            return True
        match machine.state:
            case State.STOPPED | State.BACKOFF | State.FAILED | State.STOPPING | State.STARTING:
                return True
            case State.VACATE:
                return bool(old and old.is_leaving)
            case State.SPAWN | State.WARMING | State.COMMIT | State.RESTORE if not machine.old:
                return True
            case _:
                return machine.is_paused


def time_passes(machine: Machine, policy: HandoverPolicy, limit: int = 60) -> int:
    """Let nothing but time pass, and those die who are killed; returns after how many events nothing happens by itself
    any more."""
    events = 0
    while deadline_ms(machine, policy) is not None:
        decision = decide(machine, Event(Kind.TIMEOUT, reason="slow"), policy)
        machine, events = decision.machine, events + 1
        for step in decision.steps:
            for kind, generation in ((Kind.OLD_DIED, machine.old), (Kind.NEW_DIED, machine.new)):
                is_hit = step.action is Action.KILL_ALL or step.generation == generation
                if step.action in (Action.KILL_OLD, Action.KILL_ALL) and generation and is_hit:
                    machine, events = decide(machine, Event(kind, death=KILLED), policy).machine, events + 1
        assert events < limit, f"never comes to rest: {machine}"
    return events
