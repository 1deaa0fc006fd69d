"""When schedules fire, and what happens when a firing meets the run before it."""

from __future__ import annotations

from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core.events import Payload
from aeterna.durable.core.schedule import (
    ALWAYS_US,
    Firing,
    LastRun,
    Overlap,
    ScheduleSpec,
    Skip,
    Start,
    Timeline,
    Wait,
    check,
    decide,
    run_id,
)
from aeterna.kernel.errors import ConfigurationError

MINUTE = 60_000_000


class Times:
    """A calendar of these times."""

    def __init__(self, *times_us: int) -> None:
        self._times_us = times_us

    def next_us(self, after_us: int) -> int | None:
        return min((time for time in self._times_us if time > after_us), default=None)


def spec(**fields: object) -> ScheduleSpec:
    return msgspec.structs.replace(ScheduleSpec(workflow="report", arguments=Payload(b"j[[],{}]")), **fields)


def plan(*times_us: int, **fields: object) -> Timeline:
    if times_us:
        fields["cron"] = ("* * * * *",)
    return Timeline("nightly", spec(**fields), Times(*times_us))


def fires(timeline: Timeline, after_us: int, count: int) -> list[int]:
    return [firing.fires_us for firing in islice(timeline.coming(after_us), count)]


def test_an_interval_is_counted_from_the_epoch_and_its_offset():
    assert fires(plan(every_us=10), 95, 3) == [100, 110, 120]
    assert fires(plan(every_us=10, offset_us=3), 93, 2) == [103, 113]


def test_an_interval_and_cron_fire_at_the_times_of_either():
    assert fires(plan(104, 110, every_us=10), 99, 4) == [100, 104, 110, 120]


def test_nothing_fires_outside_its_bounds():
    timeline = plan(every_us=10, start_us=100, end_us=120)
    assert fires(timeline, 0, 9) == [100, 110, 120]
    assert timeline.next_us(120) is None


def test_a_calendar_that_ends_ends_the_schedule():
    assert fires(plan(5, 7), 0, 9) == [5, 7]


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=20, unique=True),
    st.integers(1, 5_000),
    st.integers(0, 12_000),
)
def test_jitter_delays_each_firing_and_keeps_the_order(times: list[int], jitter_us: int, now_us: int):
    times.sort()
    timeline = plan(*times, jitter_us=jitter_us)
    firings = list(timeline.coming(0))
    assert [firing.nominal_us for firing in firings] == times
    for firing, following in zip(firings, [*firings[1:], None], strict=True):
        latest_us = firing.nominal_us + jitter_us
        assert firing.nominal_us <= firing.fires_us < latest_us
        assert following is None or firing.fires_us < following.nominal_us
        assert timeline.at(firing.fires_us) == firing
    assert timeline.after(now_us) == next((firing for firing in firings if firing.fires_us > now_us), None)
    past = [firing for firing in firings if firing.fires_us <= now_us]
    if past:
        assert timeline.newest(past[0].fires_us, now_us) == past[-1]


def test_jitter_spreads_schedules_that_share_a_time():
    delays = {Timeline(f"s{n}", spec(every_us=MINUTE, jitter_us=MINUTE), Times()).next_us(MINUTE) for n in range(20)}
    assert len(delays) == 20


def test_a_time_that_the_spec_does_not_name_stands_for_itself():
    assert plan(every_us=10).at(105) == Firing(105, 105)
    assert plan(5).at(105) == Firing(105, 105)


def test_run_ids_name_the_schedule_and_the_nominal_time():
    assert run_id("nightly", 1_000_000) == "nightly@1970-01-01T00:00:01Z"
    assert plan(every_us=10).run_id(Firing(2_000_000, 2_500_000)) == "nightly@1970-01-01T00:00:02Z"
    assert plan(every_us=10, of="other").run_id(Firing(0, 0)) == "other@1970-01-01T00:00:00Z"


RUNNING = LastRun(None)
DUE, NEXT = Firing(100, 100), Firing(110, 110)


@pytest.mark.parametrize(
    ("overlap", "decision"),
    [
        (Overlap.SKIP, Skip(140, "the last run has not ended")),
        (Overlap.BUFFER_ONE, Wait()),
        (Overlap.BUFFER_ALL, Wait()),
        (Overlap.CANCEL_OTHER, Wait(cancels=True)),
        (Overlap.TERMINATE_OTHER, Start(Firing(130, 130), 140, terminates=True)),
        (Overlap.ALLOW_ALL, Start(DUE, 110)),
    ],
)
def test_a_firing_that_meets_a_running_run(overlap: Overlap, decision: object):
    """It was due at 100 and is looked at at 135; 110, 120 and 130 have come meanwhile."""
    assert decide(plan(every_us=10, overlap=overlap), 100, 135, RUNNING) == decision


@pytest.mark.parametrize(
    ("overlap", "decision"),
    [
        (Overlap.SKIP, Start(DUE, 110)),
        (Overlap.BUFFER_ONE, Start(DUE, 130)),
        (Overlap.BUFFER_ALL, Start(DUE, 110)),
        (Overlap.CANCEL_OTHER, Start(Firing(130, 130), 140)),
        (Overlap.TERMINATE_OTHER, Start(Firing(130, 130), 140)),
        (Overlap.ALLOW_ALL, Start(DUE, 110)),
    ],
)
def test_a_firing_that_waited_starts_when_the_run_has_ended(overlap: Overlap, decision: object):
    """The last run ended at 125, so 110 and 120 came while 100 waited."""
    assert decide(plan(every_us=10, overlap=overlap), 100, 135, LastRun(125)) == decision


@pytest.mark.parametrize("last", [None, LastRun(50)])
def test_a_firing_that_meets_nobody_starts(last: LastRun | None):
    for overlap in Overlap:
        assert decide(plan(every_us=10, overlap=overlap), 100, 105, last) == Start(DUE, 110)


def test_what_is_later_than_the_catch_up_window_is_dropped():
    late = plan(every_us=10, catch_up_us=25)
    assert decide(late, 100, 125, None) == Start(DUE, 110)
    assert decide(late, 100, 155, None) == Skip(130, "it is later than the catch-up window")
    assert decide(plan(every_us=10, catch_up_us=ALWAYS_US), 100, 10**15, None) == Start(DUE, 110)


def test_waiting_for_a_run_to_end_does_not_make_a_firing_late():
    late = plan(every_us=10, catch_up_us=25, overlap=Overlap.BUFFER_ALL)
    assert decide(late, 100, 10_000, RUNNING) == Wait()
    assert decide(late, 100, 10_000, LastRun(9_990)) == Start(DUE, 110)
    assert decide(late, 100, 10_000, LastRun(9_000)) == Skip(9_980, "it is later than the catch-up window")


@given(st.sampled_from(Overlap), st.integers(1, 40), st.lists(st.integers(1, 60), max_size=30), st.integers(0, 1_000))
def test_every_decision_moves_on_and_starts_no_time_twice(
    overlap: Overlap, lasts_us: int, gaps_us: list[int], catch_up_us: int
):
    """A schedule that is looked at at odd times, with runs that last ``lasts_us``."""
    timeline = plan(every_us=10, overlap=overlap, catch_up_us=catch_up_us)
    due_us, now_us, last, started = 10, 0, None, []
    for gap_us in gaps_us:
        now_us += gap_us
        while due_us <= now_us:
            state = None if last is None else LastRun(last + lasts_us if last + lasts_us <= now_us else None)
            decision = decide(timeline, due_us, now_us, state)
            if isinstance(decision, Wait):
                assert state == RUNNING
                break
            assert decision.next_us is not None
            assert decision.next_us > due_us
            if isinstance(decision, Start):
                assert due_us <= decision.firing.fires_us <= now_us
                if overlap is not Overlap.ALLOW_ALL and not decision.terminates:
                    assert state != RUNNING
                started.append(decision.firing.nominal_us)
                last = now_us
            due_us = decision.next_us
    assert started == sorted(set(started))


@pytest.mark.parametrize(
    ("schedule", "fields", "problem"),
    [
        ("", {}, "0 characters"),
        ("x" * 257, {}, "257 characters"),
        ("a@b", {}, "'@'"),
        ("a\nb", {}, "cannot be printed"),
        ("s", {"workflow": ""}, "names no workflow"),
        ("s", {"every_us": None}, "no time to fire"),
        ("s", {"every_us": 999}, "its interval is 999 us"),
        ("s", {"jitter_us": -1}, "its jitter is -1 us"),
        ("s", {"jitter_us": 86_400_000_001}, "its jitter is"),
        ("s", {"catch_up_us": -1}, "catch-up window is negative"),
        ("s", {"start_us": 5, "end_us": 4}, "ends before it starts"),
    ],
)
def test_a_spec_that_means_nothing_is_refused(schedule: str, fields: dict[str, object], problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        check(schedule, spec(**{"every_us": 1_000} | fields))


def test_good_specs_pass():
    check("nightly", spec(cron=("@daily",)))
    check("x" * 300, spec(every_us=1_000, of="x" * 250, start_us=1, end_us=1))
