"""When a process that died is started again, and when that is given up.

Pure arithmetic: the times of earlier deaths and the randomness are handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """When a process that ended is started again, in the words of compose."""

    NO = "no"
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    UNLESS_STOPPED = "unless-stopped"


class Verdict(StrEnum):
    """What becomes of a service whose process ended by itself."""

    RESTART = "restart"
    """Started again, after ``delay_ms``."""
    LEAVE = "leave"
    """It ended as it may; it is not started again."""
    GIVE_UP = "give up"
    """It died too often, or with a code that says it can never start."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The rule, and the pace of repetitions."""

    rule: Rule = Rule.ALWAYS
    delay_ms: int = 100
    delay_ms_max: int = 30_000
    factor: float = 2.0
    jitter: float = 0.2
    window_ms: int = 60_000
    attempts_max: int = 5
    reset_ms: int = 10_000
    permanent_codes: frozenset[int] = frozenset({3})
    success_codes: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended: an exit code or the number of an OS signal, after running ``lifetime_ms``.

    ``how``: the same in better words, if there are any.
    """

    code: int | None
    os_signal: int | None = None
    lifetime_ms: int = 0
    was_ready: bool = True
    how: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do, when, and which deaths still count afterwards."""

    verdict: Verdict
    delay_ms: int
    deaths_ms: tuple[int, ...]
    reason: str


def judge(policy: RestartPolicy, death: Death, deaths_ms: tuple[int, ...], now_ms: int, chance: float) -> Answer:
    """What to do after a death. ``deaths_ms``: monotonic times of earlier deaths that count; ``chance``: 0 to 1.

    The first death is answered at once. Each further one that counts waits longer, up to ``delay_ms_max``, give or take
    the jitter; running for ``reset_ms`` makes the next death a first one. ``attempts_max`` deaths within ``window_ms``
    are a crash loop.
    """
    success = death.os_signal is None and death.code in policy.success_codes
    if policy.rule is Rule.NO or (policy.rule is Rule.ON_FAILURE and success):
        return Answer(Verdict.LEAVE, 0, deaths_ms, _how(death))
    if not death.was_ready and death.code in policy.permanent_codes:
        return Answer(Verdict.GIVE_UP, 0, deaths_ms, f"{_how(death)}, which means that it cannot start")
    counted = () if death.lifetime_ms >= policy.reset_ms else deaths_ms
    recent = (*(at for at in counted if now_ms - at < policy.window_ms), now_ms)
    if policy.attempts_max and len(recent) >= policy.attempts_max:
        reason = f"crash loop: {len(recent)} deaths within {policy.window_ms} ms, the last one: {_how(death)}"
        return Answer(Verdict.GIVE_UP, 0, recent, reason)
    return Answer(Verdict.RESTART, _delay_ms(policy, len(recent), chance), recent, _how(death))


def _delay_ms(policy: RestartPolicy, count: int, chance: float) -> int:
    if count <= 1:
        return 0
    # The exponent is bounded, so that a service that is restarted for ever cannot overflow a float.
    delay = min(policy.delay_ms * policy.factor ** min(count - 2, 64), float(policy.delay_ms_max))
    return int(delay * (1 + policy.jitter * (2 * chance - 1)))


def _how(death: Death) -> str:
    if death.how:
        return death.how
    return f"exit code {death.code}" if death.os_signal is None else f"OS signal {death.os_signal}"
