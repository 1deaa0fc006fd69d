"""The decision who hands runs over to whom: it evens out, stays within what each can take, and comes to rest."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.engine.coordinator.balance import MOVES_MAX, SURPLUS_MIN, Load, covers, plan_moves
from aeterna.durable.stores.contract import ANY, Choice

A, B = ("a", "1"), ("b", "1")
CHOICES = (ANY, Choice((A,)), Choice((A, B)), Choice((A, B), ("q",)), Choice((A,), capabilities=("gpu",)))


def load(session, held, room=None, choice=ANY, **how):
    return Load(session, held, 1_000 - held if room is None else room, choice, **how)


def imbalance(loads):
    """What moving a run from a more loaded worker to a less loaded one makes smaller."""
    return sum(Fraction(each.held**2, each.capacity) for each in loads if each.capacity)


@st.composite
def clusters(draw):
    count = draw(st.integers(0, 8))
    choices = st.sampled_from(CHOICES) if draw(st.booleans()) else st.just(ANY)
    return [
        Load(number, draw(st.integers(0, 90)), draw(st.integers(0, 90)), draw(choices), draw(st.integers(0, 9)) > 0)
        for number in range(1, count + 1)
    ]


def carried_out(loads, moves):
    """The loads once all have done what they were asked for."""
    after = {each.session: each for each in loads}
    for giver, taker, runs in moves:
        after[giver] = replace(after[giver], held=after[giver].held - runs, room=after[giver].room + runs)
        after[taker] = replace(after[taker], held=after[taker].held + runs, room=after[taker].room - runs)
    return list(after.values())


def test_a_worker_that_joins_a_loaded_one_gets_half():
    assert plan_moves([load(1, 40), load(2, 0)]) == [(1, 2, 20)]


def test_what_several_have_too_much_goes_to_who_has_least():
    after = carried_out(loads := [load(1, 60), load(2, 30), load(3, 0)], plan_moves(loads))
    assert [each.held for each in after] == [30, 30, 30]


def test_a_worker_that_takes_less_gets_less():
    moves = plan_moves([load(1, 20, 20), load(2, 0, 20)])
    assert sum(runs for _, _, runs in plan_moves([load(1, 40, 60), load(2, 0, 10)])) == 0
    assert [runs for _, _, runs in moves] == [6]


def test_a_small_difference_disturbs_nobody():
    assert plan_moves([load(1, 3), load(2, 0)]) == []
    assert plan_moves([load(1, 100), load(2, 80)]) == []


def test_a_worker_without_room_is_given_nothing():
    assert plan_moves([load(1, 40), load(2, 0, room=0)]) == []


def test_one_that_cannot_be_asked_gives_nothing():
    assert plan_moves([load(1, 40, can_give=False), load(2, 0)]) == []


def test_only_a_worker_that_can_execute_all_of_the_givers_gets_some():
    assert plan_moves([load(1, 40, choice=Choice((A, B))), load(2, 0, choice=Choice((A,)))]) == []
    assert plan_moves([load(1, 40, choice=Choice((A,))), load(2, 0, choice=Choice((A, B)))]) != []
    assert not covers(Choice(None, ("q",)), ANY)
    assert covers(ANY, Choice((A,), ("q",)))
    assert not covers(ANY, Choice(capabilities=("gpu",)))


def test_a_plan_is_bounded():
    assert sum(move.runs for move in plan_moves([load(1, 9_000, 1_000), load(2, 0, 10_000)])) == MOVES_MAX


@given(clusters())
def test_a_plan_asks_nobody_for_what_cannot_be(loads):
    by_session = {each.session: each for each in loads}
    given_up, taken = dict.fromkeys(by_session, 0), dict.fromkeys(by_session, 0)
    for giver, taker, runs in plan_moves(loads):
        assert runs > 0
        assert by_session[giver].can_give
        assert covers(by_session[taker].choice, by_session[giver].choice)
        given_up[giver] += runs
        taken[taker] += runs
    for each in loads:
        assert taken[each.session] <= each.room
        assert given_up[each.session] == 0 or given_up[each.session] >= SURPLUS_MIN


@given(clusters())
def test_every_plan_makes_the_load_more_even(loads):
    moves = plan_moves(loads)
    assert not moves or imbalance(carried_out(loads, moves)) < imbalance(loads)


@given(clusters())
def test_carrying_plans_out_comes_to_rest_and_takes_nothing_back(loads):
    """Unless something changes there is an end; and no pair of workers ever exchanges runs to and fro."""
    directions = set()
    for _ in range(20):
        moves = plan_moves(loads)
        if not moves:
            return
        directions.update((giver, taker) for giver, taker, _ in moves)
        assert not any((taker, giver) in directions for giver, taker in directions)
        loads = carried_out(loads, moves)
    raise AssertionError(loads)


@given(st.integers(1, 9), st.integers(0, 100))
def test_workers_that_are_alike_end_within_an_eighth_of_each_other(count, held):
    """Whatever one of them had, while the others had nothing."""
    loads = [load(1, held), *(load(number, 0) for number in range(2, count + 2))]
    for _ in range(5):
        loads = carried_out(loads, plan_moves(loads))
    share = held / len(loads)
    assert max(each.held for each in loads) < share + max(SURPLUS_MIN, held / 8) + 1
