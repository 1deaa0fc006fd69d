"""The proof: the execution log (what ran) against the run's history (what was recorded). Pure functions over both.

What must hold, for every step of the history:

1. its completion is recorded once;
2. in the life that recorded it, it was executed as often as its recorded number of attempts says;
3. in no later life was it executed again;
4. in each earlier life it was executed at most once, and that life was killed: the execution was cut off, its
   completion not recorded.

A step that was executed and is not in the history of a completed run, or the other way round, breaks it too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from aeterna.cli.demo.execution_log import Execution, Life
from aeterna.durable.core.events import AnyEvent, RunCompleted, RunStarted, StepCompleted


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step's completion as the history has it; ``life`` is the process that recorded it."""

    label: str
    life: int
    at_us: int
    attempt: int


@dataclass(frozen=True, slots=True)
class LifeTally:
    """What one life did: steps ``replayed`` from the history, ``executed`` (recorded), and ``cut_off`` by its end."""

    life: int
    replayed: int
    executed: int
    cut_off: int


@dataclass(frozen=True, slots=True)
class Proof:
    """The figures and every breach found, in words; it holds when there is none."""

    recorded: int
    started: int
    cut_off: int
    repeated: int
    tallies: list[LifeTally]
    steps: list[Recorded]
    breaches: list[str]

    @property
    def holds(self) -> bool:
        """True if the run completed and no finished step ran twice."""
        return not self.breaches

    def __str__(self) -> str:
        return (
            f"{self.recorded} steps recorded, {self.started} executions started, {self.cut_off} cut off by the kills, "
            f"{self.repeated} finished steps ran twice"
        )


def recorded_steps(history: Sequence[AnyEvent], took: Sequence[int] | None = None) -> list[Recorded]:
    """All completions of steps in a history, each with the life that recorded it.

    A session is one process's life; ``took`` are the lives that took the run, in order (None: all of them did).
    """
    sessions: list[int] = []
    steps: list[Recorded] = []
    for event in history:
        match event:
            case RunStarted() if event.session not in sessions:
                sessions.append(event.session)
            case StepCompleted():
                life = len(sessions) if took is None else took[len(sessions) - 1]
                steps.append(Recorded(event.name, life, event.at_us, event.attempt))
            case _:
                pass
    return steps


def lives_that_took(
    history: Sequence[AnyEvent], lives: Sequence[Life], executions: Sequence[Execution]
) -> list[int] | None:
    """The lives that took the run, in order; None if that cannot be told.

    A process that was killed before it took the run, or came after its end, executed nothing.
    """
    sessions = lives_in(history)
    everyone = [life.number for life in lives]
    busy = sorted({execution.life for execution in executions})
    return everyone if sessions == len(everyone) else busy if sessions == len(busy) else None


def lives_in(history: Sequence[AnyEvent]) -> int:
    """How many processes took the run, by its history."""
    return len({event.session for event in history if isinstance(event, RunStarted)})


def prove(history: Sequence[AnyEvent], lives: Sequence[Life], executions: Sequence[Execution]) -> Proof:
    """Compare what ran with what was recorded."""
    took = lives_that_took(history, lives, executions)
    recorded = recorded_steps(history, took)
    by_label = {step.label: step for step in recorded}
    starts = Counter((execution.label, execution.life) for execution in executions)
    repeated = {label for (label, life), count in starts.items() if _ran_again(by_label.get(label), life, count)}
    cut_off = [e for e in executions if e.label in by_label and e.life < by_label[e.label].life]
    breaches = [
        *(f"step {label!r} ran again after its completion was recorded" for label in sorted(repeated)),
        *_breaches_of_counts(recorded, starts, by_label),
        *_breaches_of_run(history, lives, took),
    ]
    return Proof(
        recorded=len(recorded),
        started=len(executions),
        cut_off=len(cut_off),
        repeated=len(repeated),
        tallies=tally(recorded, cut_off, len(lives)),
        steps=recorded,
        breaches=breaches,
    )


def tally(recorded: Sequence[Recorded], cut_off: Sequence[Execution], lives: int) -> list[LifeTally]:
    """The figures of each life."""
    per_life = Counter(step.life for step in recorded)
    cut_per_life = Counter(execution.life for execution in cut_off)
    return [
        LifeTally(life, sum(per_life[earlier] for earlier in range(1, life)), per_life[life], cut_per_life[life])
        for life in range(1, lives + 1)
    ]


def _ran_again(step: Recorded | None, life: int, count: int) -> bool:
    return step is not None and (life > step.life or (life == step.life and count > step.attempt))


def _breaches_of_counts(
    recorded: Sequence[Recorded], starts: Counter[tuple[str, int]], by_label: dict[str, Recorded]
) -> list[str]:
    breaches = [
        f"step {label!r} is recorded {count} times"
        for label, count in Counter(step.label for step in recorded).items()
        if count > 1
    ]
    executed_in: defaultdict[str, set[int]] = defaultdict(set)
    for (label, life), count in starts.items():
        executed_in[label].add(life)
        if label not in by_label:
            breaches.append(f"step {label!r} was executed in process {life}, but the history does not have it")
        elif life < by_label[label].life and count > 1:
            breaches.append(f"step {label!r} was executed {count} times in process {life}, which did not record it")
    breaches += [
        f"step {step.label!r} is recorded by process {step.life}, which did not execute it"
        for step in recorded
        if step.life not in executed_in[step.label]
    ]
    return breaches


def _breaches_of_run(history: Sequence[AnyEvent], lives: Sequence[Life], took: Sequence[int] | None) -> list[str]:
    breaches = []
    if not history or not isinstance(history[-1], RunCompleted):
        breaches.append("the run did not complete")
    if took is None:
        breaches.append(
            f"{len(lives)} processes ran, but {lives_in(history)} took the run: who recorded what is unclear"
        )
    return breaches
