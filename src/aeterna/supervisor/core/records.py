"""The records of the handover machine: what it goes by, where it stands, and what a decision consists of."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeterna.supervisor.core.restart import RestartPolicy
from aeterna.supervisor.core.vocabulary import Action, State


@dataclass(frozen=True, slots=True)
class HandoverPolicy:
    """What a service's configuration says of its handovers. Times in ms; ``weights`` in percent, ending at 100."""

    moves_state: bool = False
    shares_state: bool = False
    aborts_without_state: bool = False
    stops_first: bool = False
    queues: bool = False
    weights: tuple[int, ...] = (100,)
    step_ms: int = 0
    soak_ms: int = 0
    start_ms: int = 300_000
    checks_ms: int = 60_000
    state_ms: int = 5_000
    blackout_ms: int = 2_000
    lame_duck_ms: int = 1_000
    drain_ms: int = 30_000
    stop_ms: int = 10_000
    restart: RestartPolicy = field(default_factory=RestartPolicy)


@dataclass(frozen=True, slots=True)
class Machine:
    """A service.

    ``old``: the generation that serves, in a handover the one that is replaced; ``new``: the one that replaces it; 0:
    none. ``lease``: the generation that may change state, 0 for none. ``txn``: number of the handover under way or the
    last one; ``step``: index of the weight in force; ``is_paused``: nobody accepts, and the blackout clock runs;
    ``is_held``: an operator set the weight; ``is_queued``: one more reload is wanted; ``is_cold``: the old generation's
    memory did not move; ``deaths_ms``: those that count for the restart policy; ``delay_ms``: the wait of BACKOFF.
    """

    state: State = State.STOPPED
    old: int = 0
    new: int = 0
    last: int = 0
    txn: int = 0
    lease: int = 0
    step: int = 0
    is_paused: bool = False
    is_held: bool = False
    has_stepped_back: bool = False
    has_extended: bool = False
    is_queued: bool = False
    is_cold: bool = False
    reason: str = ""
    deaths_ms: tuple[int, ...] = ()
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """An action, and the generation it is about (0 where it is about none)."""

    action: Action
    generation: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What an event led to. ``steps``: to be performed in this order; ``rearms``: the state's deadline starts anew;
    ``runs_queued``: the reload that waited for its turn is to be asked for, now."""

    machine: Machine
    steps: tuple[Step, ...]
    rearms: bool
    runs_queued: bool = False

    @property
    def is_refused(self) -> bool:
        return any(step.action is Action.REFUSE for step in self.steps)

    @property
    def begins(self) -> bool:
        """Whether a handover or a cold start of the wanted version begins."""
        return any(step.action in (Action.BEGIN, Action.START_FRESH) for step in self.steps)
