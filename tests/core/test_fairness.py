"""Which waiting runs start: limits hold in every case, and nobody who may start is left waiting."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core.fairness import Candidate, Standing, choose, in_order
from aeterna.durable.core.gcra import Rate, starts_left
from aeterna.durable.stores.contract import QueueRow

NOW_US = 1_000_000
NAMES = ["", "a", "b"]
SHARES = ["", "x", "y"]

counts = st.none() | st.integers(1, 3)
queue_rows = st.builds(
    QueueRow,
    st.just(""),
    counts,
    counts,
    st.none() | st.integers(1, 3),
    st.integers(1, 10),
    st.integers(1, 3),
    st.booleans(),
)
limits = st.dictionaries(st.sampled_from(NAMES[1:]), queue_rows)
standings = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(
        Standing,
        st.dictionaries(st.sampled_from(SHARES), st.integers(0, 3)),
        st.integers(NOW_US - 5, NOW_US + 20),
        st.dictionaries(st.sampled_from(SHARES), st.integers(0, 3)),
    ),
)
candidates = st.lists(
    st.builds(
        Candidate,
        st.integers(1, 100),
        st.sampled_from(NAMES),
        st.integers(-1, 1),
        st.sampled_from(SHARES),
    ),
    max_size=25,
    unique_by=lambda run: run.key,
)


@given(candidates, limits, standings, st.integers(0, 30))
def test_limits_hold_and_who_may_start_starts(
    waiting: list[Candidate], limits: dict[str, QueueRow], standings: dict[str, Standing], room: int
):
    chosen = choose(waiting, limits, standings, NOW_US, room)
    assert len(chosen) <= room
    assert len({run.key for run in chosen}) == len(chosen)

    def blocks(queue: str, share: str) -> bool:
        """The limits of a queue allow no further start of a share, as it stands after all."""
        limit = limits.get(queue)
        if limit is None:
            return False
        standing = standings.get(queue, Standing())
        shares = Counter(standing.running) + Counter(run.share for run in chosen if run.queue == queue)
        started = sum(run.queue == queue for run in chosen)
        rate = None if limit.rate is None else Rate(limit.rate, limit.rate_period_us, limit.burst)
        left = None if rate is None else starts_left(rate, standing.tat_us, NOW_US)
        if limit.is_paused:
            assert not started
        if limit.concurrency is not None and started:
            assert shares.total() <= limit.concurrency
        if limit.concurrency_per_share is not None:
            assert all(shares[run.share] <= limit.concurrency_per_share for run in chosen if run.queue == queue)
        assert left is None or started <= left
        return (
            limit.is_paused
            or (limit.concurrency is not None and shares.total() >= limit.concurrency)
            or (limit.concurrency_per_share is not None and shares[share] >= limit.concurrency_per_share)
            or left == started
        )

    left_out = set(waiting) - set(chosen)
    for run in left_out:
        assert blocks(run.queue, run.share) or len(chosen) == room
    for run in chosen:
        blocks(run.queue, run.share)


@given(candidates, standings)
def test_the_order_is_a_permutation_by_priority(waiting: list[Candidate], standings: dict[str, Standing]):
    order = in_order(waiting, standings)
    assert sorted(order) == sorted(waiting)
    assert [run.priority for run in order] == sorted(run.priority for run in waiting)
    for queue in NAMES:
        for share in SHARES:
            for priority in (-1, 0, 1):
                keys = [run.key for run in order if run[1:] == (queue, priority, share)]
                assert keys == sorted(keys), "the oldest of a share comes first"


@given(candidates, limits, standings, st.integers(0, 30))
def test_counting_shares_first_and_queues_then_gives_the_same(
    waiting: list[Candidate], limits: dict[str, QueueRow], standings: dict[str, Standing], room: int
):
    """What SQL does: two ranks, one after the other, instead of a loop."""
    ranked = in_order(waiting, standings)
    of_share: Counter[tuple[str, str]] = Counter()
    first: list[Candidate] = []
    for run in ranked:
        of_share[run.queue, run.share] += 1
        limit = limits.get(run.queue)
        running = standings.get(run.queue, Standing()).running.get(run.share, 0)
        most = None if limit is None else limit.concurrency_per_share
        if most is None or running + of_share[run.queue, run.share] <= most:
            first.append(run)
    of_queue: Counter[str] = Counter()
    second: list[Candidate] = []
    for run in first:
        of_queue[run.queue] += 1
        if of_queue[run.queue] <= room_of(limits.get(run.queue), standings.get(run.queue, Standing())):
            second.append(run)
    assert second[:room] == choose(waiting, limits, standings, NOW_US, room)


def room_of(limit: QueueRow | None, standing: Standing) -> int:
    bounds = [1_000]
    if limit is not None and limit.is_paused:
        bounds.append(0)
    if limit is not None and limit.concurrency is not None:
        bounds.append(limit.concurrency - sum(standing.running.values()))
    if limit is not None and limit.rate is not None:
        bounds.append(starts_left(Rate(limit.rate, limit.rate_period_us, limit.burst), standing.tat_us, NOW_US))
    return min(bounds)


def test_shares_take_turns_also_when_one_run_at_a_time_is_claimed():
    """A share with a thousand older runs does not keep another one waiting."""
    waiting = [Candidate(key, "q", 0, "big") for key in range(1, 1_001)]
    waiting += [Candidate(2_000 + key, "q", 0, "small") for key in range(3)]
    served: dict[str, int] = {}
    order: list[str] = []
    for now_us in range(1, 7):
        (run,) = choose(waiting, {}, {"q": Standing(served_us=served)}, now_us, 1)
        waiting.remove(run)
        served[run.share] = now_us
        order.append(run.share)
    assert order == ["big", "small"] * 3


def test_queues_take_turns():
    waiting = [Candidate(key, "a", 0, "") for key in range(1, 6)] + [Candidate(key, "b", 0, "") for key in range(6, 9)]
    assert [run.queue for run in choose(waiting, {}, {}, NOW_US, 5)] == ["a", "b", "a", "b", "a"]


def test_a_lower_priority_number_starts_first():
    waiting = [Candidate(1, "q", 5, ""), Candidate(2, "q", -1, ""), Candidate(3, "", 0, "")]
    assert [run.key for run in choose(waiting, {}, {}, NOW_US, 9)] == [2, 3, 1]


def test_a_full_share_lets_the_others_pass():
    queue = QueueRow("q", concurrency=3, concurrency_per_share=1)
    waiting = [Candidate(1, "q", 0, "x"), Candidate(2, "q", 0, "x"), Candidate(3, "q", 0, "y")]
    chosen = choose(waiting, {"q": queue}, {"q": Standing(running={"x": 1})}, NOW_US, 9)
    assert [run.key for run in chosen] == [3]


def test_a_paused_queue_starts_nothing():
    paused = msgspec.structs.replace(QueueRow("q"), is_paused=True)
    assert choose([Candidate(1, "q", 0, "")], {"q": paused}, {}, NOW_US, 9) == []
