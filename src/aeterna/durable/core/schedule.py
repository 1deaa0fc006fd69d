"""Schedules: when they fire, and what becomes of a firing that meets the run before it.

Pure: a spec, a time and the state of the last run go in, a decision comes out. Cron expressions and time zones are the
business of a `Calendar`, which is handed in (``engine.calendars``).

A firing has two times: the *nominal* one, which the spec names and which makes the id of its run, and the one at which
it *fires*, later by a jitter that follows from both. Nothing is remembered but the time of the next firing and the id
of the last run, and that is enough: firings that wait for a run to end are those between the next firing and now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, assert_never

import msgspec

from aeterna.durable.core.events import Payload
from aeterna.durable.core.moments import iso_utc
from aeterna.kernel.errors import ConfigurationError

US_PER_S = 1_000_000
DAY_US = 86_400 * US_PER_S
SHORTEST_INTERVAL_US = 1_000
LONGEST_JITTER_US = DAY_US
ID_CHARS_MAX = 256
ALWAYS_US = 2**62
"""A catch-up window without end."""


class Overlap(StrEnum):
    """What happens when a schedule fires and the run it started last has not ended; the names are Temporal's."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"
    ALLOW_ALL = "allow_all"


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a schedule starts, and when.

    ``cron``: expressions that are read in ``time_zone``; ``every_us``: an interval, counted from 1970 plus
    ``offset_us``; with both, it fires at the times of either. ``jitter_us``: fire up to so much later, but before the
    next time. ``start_us``, ``end_us``: no firing before and after. ``catch_up_us``: a firing that is late by more
    than this, because no server ran, is dropped. ``of``: the schedule whose firings this one repeats (a backfill,
    which deletes itself at its end). ``queue``, ``priority``, ``share``, ``requires``: as for any run."""

    workflow: str
    arguments: Payload
    version: str = "1"
    cron: tuple[str, ...] = ()
    every_us: int | None = None
    offset_us: int = 0
    time_zone: str = "UTC"
    jitter_us: int = 0
    start_us: int | None = None
    end_us: int | None = None
    overlap: Overlap = Overlap.SKIP
    catch_up_us: int = DAY_US
    of: str | None = None
    queue: str = ""
    priority: int = 0
    share: str = ""
    requires: tuple[str, ...] = ()
    note: str = ""


def check(schedule: str, spec: ScheduleSpec) -> None:
    """Raise `ConfigurationError` for a spec that means nothing; cron expressions are checked by their calendar."""
    chars_max = ID_CHARS_MAX * (1 if spec.of is None else 2)
    for is_wrong, problem in (
        (not 0 < len(schedule) <= chars_max, f"its id has {len(schedule)} characters; use 1 to {chars_max}"),
        ("@" in schedule or not schedule.isprintable(), "its id has an '@' or characters that cannot be printed"),
        (not spec.workflow, "it names no workflow"),
        (not spec.cron and spec.every_us is None, "it has no time to fire: give cron or an interval"),
        (
            spec.every_us is not None and spec.every_us < SHORTEST_INTERVAL_US,
            f"its interval is {spec.every_us} us; use {SHORTEST_INTERVAL_US} or more",
        ),
        (
            not 0 <= spec.jitter_us <= LONGEST_JITTER_US,
            f"its jitter is {spec.jitter_us} us; use 0 to {LONGEST_JITTER_US} (a day)",
        ),
        (spec.catch_up_us < 0, "its catch-up window is negative"),
        (
            spec.start_us is not None and spec.end_us is not None and spec.end_us < spec.start_us,
            "it ends before it starts",
        ),
    ):
        if is_wrong:
            raise ConfigurationError(f"schedule {schedule!r} cannot be: {problem}")


class Calendar(Protocol):
    """The times of a spec's cron expressions."""

    def next_us(self, after_us: int) -> int | None:
        """The first time after ``after_us``; None = there is none."""
        ...


class Firing(NamedTuple):
    """One firing: the time the spec names, and when it fires."""

    nominal_us: int
    fires_us: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The firings of a schedule, in order."""

    schedule: str
    spec: ScheduleSpec
    calendar: Calendar

    def after(self, after_us: int) -> Firing | None:
        """The first that fires after ``after_us``; None = there is none."""
        nominal_us = self._nominal_after(after_us - self.spec.jitter_us)
        while nominal_us is not None:
            following_us = self._nominal_after(nominal_us)
            fires_us = nominal_us + self._delay_us(nominal_us, following_us)
            if fires_us > after_us:
                return Firing(nominal_us, fires_us)
            nominal_us = following_us
        return None

    def next_us(self, after_us: int) -> int | None:
        """When it fires first after ``after_us``; None = never."""
        firing = self.after(after_us)
        return None if firing is None else firing.fires_us

    def at(self, fires_us: int) -> Firing:
        """The firing of that time; where the spec names none, because it was changed, the time stands for itself."""
        firing = self.after(fires_us - 1)
        return firing if firing is not None and firing.fires_us == fires_us else Firing(fires_us, fires_us)

    def newest(self, first_us: int, now_us: int) -> Firing:
        """The last that fires at ``first_us`` or later and has fired by now; one does at ``first_us``."""
        low, high = first_us - 1, now_us
        while high - low > 1:
            middle = (low + high) // 2
            next_us = self.next_us(middle)
            if next_us is not None and next_us <= now_us:
                low = middle
            else:
                high = middle
        return self.at(low + 1)

    def coming(self, after_us: int) -> Iterator[Firing]:
        """All that fire after ``after_us``, which may be without end."""
        while (firing := self.after(after_us)) is not None:
            yield firing
            after_us = firing.fires_us

    def run_id(self, firing: Firing) -> str:
        """The id of the run that a firing starts: the same whoever computes it, and whenever."""
        return run_id(self.spec.of or self.schedule, firing.nominal_us)

    def _nominal_after(self, after_us: int) -> int | None:
        spec = self.spec
        if spec.start_us is not None:
            after_us = max(after_us, spec.start_us - 1)
        times: list[int] = []
        if spec.every_us is not None:
            times.append(after_us - (after_us - spec.offset_us) % spec.every_us + spec.every_us)
        if spec.cron:
            next_us = self.calendar.next_us(after_us)
            if next_us is not None:
                times.append(next_us)
        found = min(times, default=None)
        return None if found is None or (spec.end_us is not None and found > spec.end_us) else found

    def _delay_us(self, nominal_us: int, following_us: int | None) -> int:
        if not self.spec.jitter_us:
            return 0
        # Less than the distance to the next one, so that firings keep their order.
        width_us = self.spec.jitter_us if following_us is None else min(self.spec.jitter_us, following_us - nominal_us)
        digest = hashlib.sha256(f"{self.schedule}\0{nominal_us}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % width_us


def run_id(schedule: str, at_us: int) -> str:
    """The id of a schedule's run of that time."""
    return f"{schedule}@{iso_utc(at_us)}"


class LastRun(NamedTuple):
    """How the run that a schedule started last stands; ``finished_us``: when it ended, None = it has not."""

    finished_us: int | None


class Start(NamedTuple):
    """Start the run of ``firing`` and stand at ``next_us`` then. ``terminates``: end the last run first."""

    firing: Firing
    next_us: int | None
    terminates: bool = False


class Skip(NamedTuple):
    """Start nothing and stand at ``next_us``; ``reason`` says why, for the log."""

    next_us: int | None
    reason: str


class Wait(NamedTuple):
    """Stay until the last run has ended. ``cancels``: ask it to."""

    cancels: bool = False


Decision = Start | Skip | Wait


def decide(timeline: Timeline, due_us: int, now_us: int, last: LastRun | None) -> Decision:
    """What to do about the firing of ``due_us``, which has come; ``last``: the last run, None = there is none."""
    spec = timeline.spec
    is_running = last is not None and last.finished_us is None
    finished_us = 0 if last is None or last.finished_us is None else last.finished_us
    # A firing that had to wait for the last run is late from that run's end on.
    if not is_running and now_us - max(due_us, finished_us) > spec.catch_up_us:
        return Skip(timeline.next_us(now_us - spec.catch_up_us - 1), "it is later than the catch-up window")
    if is_running:
        return _meet_running(timeline, due_us, now_us)
    match spec.overlap:
        case Overlap.CANCEL_OTHER | Overlap.TERMINATE_OTHER:
            # Each of those between would have ended the one before it.
            return Start(timeline.newest(due_us, now_us), timeline.next_us(now_us))
        case Overlap.BUFFER_ONE if finished_us > due_us:
            # It had to wait, and those after it found the buffer full.
            return Start(timeline.at(due_us), timeline.next_us(max(due_us, finished_us)))
        case _:
            return Start(timeline.at(due_us), timeline.next_us(due_us))


def _meet_running(timeline: Timeline, due_us: int, now_us: int) -> Decision:
    match timeline.spec.overlap:
        case Overlap.ALLOW_ALL:
            return Start(timeline.at(due_us), timeline.next_us(due_us))
        case Overlap.SKIP:
            return Skip(timeline.next_us(now_us), "the last run has not ended")
        case Overlap.BUFFER_ONE | Overlap.BUFFER_ALL:
            return Wait()
        case Overlap.CANCEL_OTHER:
            return Wait(cancels=True)
        case Overlap.TERMINATE_OTHER:
            return Start(timeline.newest(due_us, now_us), timeline.next_us(now_us), terminates=True)
        case _:
            assert_never(timeline.spec.overlap)
