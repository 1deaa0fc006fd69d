"""Whatever happens in whatever order: somebody serves, one generation has the lease, every reload has its verdict."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aeterna.supervisor.core.deadlines import deadline_ms
from aeterna.supervisor.core.records import HandoverPolicy
from aeterna.supervisor.core.restart import Death, RestartPolicy, Rule
from aeterna.supervisor.core.vocabulary import Kind, State
from tests.supervisor.core import promises
from tests.supervisor.core.world import World

PROGRESS = st.integers(0, 6)
ORDERS = (Kind.START, Kind.RESTART, Kind.CANCEL, Kind.PROMOTE, Kind.ROLLBACK, Kind.WEIGHT, Kind.CONFIG_CHANGED)
MOVING = frozenset({State.PRECOPY, State.QUIESCE, State.SNAPSHOT, State.RESTORE})


@st.composite
def policies(draw: st.DrawFn) -> HandoverPolicy:
    """Those that the configuration allows: weights are for services whose memory does not move."""
    mode = draw(st.sampled_from(["none", "exclusive", "shared"]))
    weights = (100,) if mode == "exclusive" else draw(st.sampled_from([(100,), (5, 25, 100), (50, 100)]))
    return HandoverPolicy(
        moves_state=mode == "exclusive",
        shares_state=mode == "shared",
        aborts_without_state=draw(st.booleans()),
        stops_first=draw(st.sampled_from([False, False, False, True])),
        queues=draw(st.booleans()),
        weights=weights,
        step_ms=1_000,
        soak_ms=draw(st.sampled_from([0, 1_000])),
        restart=RestartPolicy(
            rule=draw(st.sampled_from([Rule.ALWAYS, Rule.ALWAYS, Rule.ON_FAILURE, Rule.NO])),
            attempts_max=draw(st.sampled_from([2, 5])),
        ),
    )


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Events that are plausible, in any order; the fake world says what really is."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(HandoverPolicy())

    @initialize(policy=policies())
    def begin(self, policy: HandoverPolicy) -> None:
        self.world = World(policy)
        self.world.post(Kind.START)
        self.world.finish()

    @precondition(lambda self: self.world.is_working)
    @rule()
    def the_work_is_done(self) -> None:
        self.world.finish()

    # A second time, so that handovers get far.
    @precondition(lambda self: self.world.is_working)
    @rule()
    def the_work_is_done_as_it_should_be(self) -> None:
        self.world.finish()

    @precondition(lambda self: self.world.is_working)
    @rule(progress=PROGRESS)
    def the_work_fails(self, progress: int) -> None:
        self.world.fail(Kind.FAIL, progress)

    @precondition(lambda self: self.world.is_working and self.world.machine.state in MOVING)
    @rule(progress=PROGRESS)
    def there_is_no_state(self, progress: int) -> None:
        self.world.fail(Kind.MISSING, progress)

    @precondition(lambda self: deadline_ms(self.world.machine, self.world.policy) is not None)
    @rule(progress=PROGRESS, reason=st.sampled_from(["", "slow"]))
    def the_time_is_over(self, progress: int, reason: str) -> None:
        self.world.work_on(progress)
        self.world.post(Kind.TIMEOUT, reason)

    @precondition(lambda self: self.world.machine.is_paused)
    @rule(progress=PROGRESS)
    def the_pause_is_too_long(self, progress: int) -> None:
        self.world.work_on(progress)
        self.world.post(Kind.BLACKOUT, "blackout")

    @precondition(lambda self: self.world.processes)
    @rule(which=st.integers(0, 5), code=st.sampled_from([0, 1, 3, None]), lifetime_ms=st.sampled_from([10, 60_000]))
    def a_process_dies(self, which: int, code: int | None, lifetime_ms: int) -> None:
        generations = sorted(self.world.processes)
        death = Death(code, None if code is not None else 9, lifetime_ms, was_ready=lifetime_ms > 10)
        self.world.die(generations[which % len(generations)], death)

    @rule(kind=st.sampled_from([Kind.UNHEALTHY, Kind.FLAPPING]))
    def somebody_is_ill(self, kind: Kind) -> None:
        self.world.post(kind, str(kind))

    @rule(must_queue=st.booleans())
    def a_reload_is_wanted(self, must_queue: bool) -> None:
        self.world.post(Kind.RELOAD, must_queue=must_queue)

    @precondition(lambda self: self.world.machine.state in promises.AT_REST)
    @rule()
    def a_reload_is_wanted_when_nothing_is_under_way(self) -> None:
        self.world.post(Kind.RELOAD)

    @rule(kind=st.sampled_from(ORDERS))
    def an_operator_asks(self, kind: Kind) -> None:
        self.world.post(kind)

    @precondition(lambda self: self.world.machine.txn > 1)
    @rule()
    def an_operator_stops_it(self) -> None:
        self.world.post(Kind.STOP)

    @rule(progress=PROGRESS)
    def the_daemon_dies(self, progress: int) -> None:
        self.world.recover(progress)

    @invariant()
    def every_promise_is_kept(self) -> None:
        for promise in promises.CHEAP:
            promise(self.world)

    @invariant()
    def time_alone_brings_it_to_rest(self) -> None:
        promises.time_alone_brings_it_to_rest(self.world)


AnyOrderOfEvents.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
