"""When a process that died is started again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.supervisor.core.restart import Answer, Death, RestartPolicy, Rule, Verdict, judge

CRASH = Death(code=1)
EXIT = Death(code=0)
KILLED = Death(code=None, os_signal=9)
CANNOT_START = Death(code=3, was_ready=False)
WELL = Death(code=75)

POLICIES = st.builds(
    RestartPolicy,
    rule=st.sampled_from(Rule),
    delay_ms=st.integers(0, 10_000),
    delay_ms_max=st.integers(0, 60_000),
    factor=st.floats(1, 100),
    jitter=st.floats(0, 1),
    window_ms=st.integers(0, 120_000),
    attempts_max=st.integers(0, 10),
    reset_ms=st.integers(0, 60_000),
)
DEATHS = st.builds(
    Death,
    code=st.one_of(st.none(), st.integers(0, 255)),
    os_signal=st.one_of(st.none(), st.integers(1, 31)),
    lifetime_ms=st.integers(0, 1_000_000),
    was_ready=st.booleans(),
)


def after(policy: RestartPolicy, death: Death, deaths_ms: tuple[int, ...] = ()) -> Answer:
    return judge(policy, death, deaths_ms, 50_000, 0.5)


@pytest.mark.parametrize(
    ("rule", "death", "verdict"),
    [
        (Rule.ALWAYS, EXIT, Verdict.RESTART),
        (Rule.ALWAYS, CRASH, Verdict.RESTART),
        (Rule.ALWAYS, KILLED, Verdict.RESTART),
        (Rule.ALWAYS, CANNOT_START, Verdict.GIVE_UP),
        (Rule.ALWAYS, Death(code=3), Verdict.RESTART),
        (Rule.UNLESS_STOPPED, EXIT, Verdict.RESTART),
        (Rule.ON_FAILURE, EXIT, Verdict.LEAVE),
        (Rule.ON_FAILURE, WELL, Verdict.LEAVE),
        (Rule.ON_FAILURE, CRASH, Verdict.RESTART),
        (Rule.ON_FAILURE, KILLED, Verdict.RESTART),
        (Rule.ON_FAILURE, Death(code=0, os_signal=9), Verdict.RESTART),
        (Rule.NO, EXIT, Verdict.LEAVE),
        (Rule.NO, CRASH, Verdict.LEAVE),
        (Rule.NO, CANNOT_START, Verdict.LEAVE),
    ],
)
def test_the_rule_decides(rule: Rule, death: Death, verdict: Verdict) -> None:
    policy = RestartPolicy(rule=rule, success_codes=frozenset({0, 75}))
    assert after(policy, death).verdict is verdict


@pytest.mark.parametrize(
    ("earlier", "delay_ms"), [(0, 0), (1, 100), (2, 200), (3, 400), (4, 800), (9, 25_600), (10, 30_000), (500, 30_000)]
)
def test_the_first_death_costs_no_time_and_each_further_one_more(earlier: int, delay_ms: int) -> None:
    policy = RestartPolicy(attempts_max=0)
    assert after(policy, CRASH, tuple(range(49_000, 49_000 + earlier))).delay_ms == delay_ms


@pytest.mark.parametrize(("chance", "delay_ms"), [(0.0, 80), (0.5, 100), (1.0, 120)])
def test_the_wait_is_spread(chance: float, delay_ms: int) -> None:
    assert judge(RestartPolicy(), CRASH, (49_000,), 50_000, chance).delay_ms == delay_ms


def test_a_crash_loop_is_given_up_and_says_how_it_ended() -> None:
    answer = after(RestartPolicy(attempts_max=3), KILLED, (48_000, 49_000))
    assert answer.verdict is Verdict.GIVE_UP
    assert answer.reason == "crash loop: 3 deaths within 60000 ms, the last one: OS signal 9"
    assert after(RestartPolicy(attempts_max=4), KILLED, (48_000, 49_000)).verdict is Verdict.RESTART


def test_a_code_that_says_it_cannot_start_is_believed() -> None:
    assert after(RestartPolicy(), CANNOT_START).reason == "exit code 3, which means that it cannot start"


def test_a_process_that_ran_for_long_dies_for_the_first_time() -> None:
    policy = RestartPolicy(attempts_max=3, reset_ms=10_000)
    assert after(policy, Death(1, lifetime_ms=9_999), (48_000, 49_000)).verdict is Verdict.GIVE_UP
    answer = after(policy, Death(1, lifetime_ms=10_000), (48_000, 49_000))
    assert (answer.verdict, answer.delay_ms, answer.deaths_ms) == (Verdict.RESTART, 0, (50_000,))


def test_deaths_are_forgotten_when_the_window_has_passed() -> None:
    answer = after(RestartPolicy(window_ms=10_000), CRASH, (39_999, 40_000, 40_001))
    assert answer.deaths_ms == (40_001, 50_000)


@given(POLICIES, DEATHS, st.lists(st.integers(0, 100_000)), st.integers(0, 100_000), st.floats(0, 1))
def test_any_answer_is_one_that_can_be_carried_out(
    policy: RestartPolicy, death: Death, earlier: list[int], now_ms: int, chance: float
) -> None:
    """It waits no longer than it may, waits only to start again, and counts no death that is over."""
    answer = judge(policy, death, tuple(sorted(at for at in earlier if at <= now_ms)), now_ms, chance)
    assert 0 <= answer.delay_ms <= policy.delay_ms_max * (1 + policy.jitter)
    assert answer.verdict is Verdict.RESTART or answer.delay_ms == 0
    assert answer.reason
    if answer.verdict is Verdict.RESTART:
        assert answer.deaths_ms[-1] == now_ms
        assert all(now_ms - at < max(policy.window_ms, 1) for at in answer.deaths_ms)
        assert not policy.attempts_max or len(answer.deaths_ms) < policy.attempts_max


@given(POLICIES, st.integers(1, 300))
def test_a_process_that_dies_at_once_and_for_ever_is_given_up_or_waited_for_ever_longer(
    policy: RestartPolicy, count: int
) -> None:
    deaths: tuple[int, ...] = ()
    now_ms, delays = 0, []
    for _ in range(count):
        answer = judge(policy, CRASH, deaths, now_ms, 0.5)
        if answer.verdict is not Verdict.RESTART:
            assert policy.rule is Rule.NO or len(answer.deaths_ms) >= policy.attempts_max > 0
            return
        deaths, now_ms = answer.deaths_ms, now_ms + answer.delay_ms
        delays.append((len(deaths), answer.delay_ms))
    assert sorted(delays) == sorted(delays, key=lambda each: (each[0], each[1]))
    by_count = dict(delays)
    assert all(by_count[a] <= by_count[b] for a, b in zip(sorted(by_count), sorted(by_count)[1:], strict=False))


def test_better_words_for_a_death_are_used() -> None:
    """Whoever knows more than a code says it, such as that the memory was over its limit."""
    answer = after(RestartPolicy(), Death(code=None, os_signal=9, how="out of memory"))
    assert answer.reason == "out of memory"
