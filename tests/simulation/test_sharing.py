"""Two engines over one shared store, in virtual time: who owns what, and what passes between them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from aeterna import App, Context
from aeterna.durable.core import events as ev
from aeterna.durable.core.events import Payload
from aeterna.durable.core.fold import fold
from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.execution import Wait
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.engine.program import Program
from aeterna.durable.engine.work import Work
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.signal import signal
from aeterna.durable.stores.contract import Notice, NoticeKind
from aeterna.durable.stores.memory import MemoryStore
from aeterna.kernel.clock import sleep
from aeterna.testing.clock import FakeClock
from aeterna.testing.faults import FaultyStore, Moment, StoreCall
from aeterna.testing.virtual_loop import VirtualLoop

LEASE_S = 10.0
app = App("sharing", store="memory:")
executed: Counter[str] = Counter()


@app.step
async def part(run_id: str, number: int) -> int:
    executed[f"{run_id} {number}"] += 1
    await sleep(1)
    return number


@app.workflow
async def job(ctx: Context) -> list[int]:
    return [await ctx.step(part, ctx.run_id, number) for number in range(6)]


@app.workflow
async def waiter(ctx: Context) -> str:
    return str(await ctx.wait_signal("word"))


@app.workflow
async def sleeper(ctx: Context) -> str:
    await ctx.sleep(60)
    return "slept"


@app.workflow
async def family(ctx: Context) -> list[int]:
    return await ctx.child(job)


class Link:
    """One process's way to the store: may be held up, cut, or deaf to notices."""

    def __init__(self, inner: MemoryStore) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.store = FaultyStore(inner, self._gate)
        self.is_deaf = False
        watch = self.store.watch
        self.store.watch = lambda outlook: watch(  # type: ignore[method-assign]
            lambda notice: None if self.is_deaf else outlook(notice)
        )

    async def _gate(self, call: StoreCall) -> None:
        if call.moment is Moment.BEFORE and call.method != "close":
            await self._flowing.wait()

    def hold(self) -> None:
        self._flowing.clear()

    def let_go(self) -> None:
        self._flowing.set()


class Pair:
    """Two engines, ``a`` and ``b``, over one store."""

    def __init__(self, clock: FakeClock) -> None:
        self.inner = MemoryStore("sharing", is_shared=True)
        self.links = [Link(self.inner), Link(self.inner)]
        self.engines = [engine_on(link.store, clock) for link in self.links]
        self.a, self.b = self.engines

    async def start(self, run_id: str, engine: Engine, workflow: str) -> None:
        found = app.find_workflow(workflow)
        await engine.start_run(found.definition, found.encode_arguments((), {}), run_id)

    async def owner(self, run_id: str) -> int | None:
        row = await self.inner.get_run(run_id)
        assert row is not None
        return row.owner

    async def state(self, run_id: str) -> tuple[State, Detail]:
        row = await self.inner.get_run(run_id)
        assert row is not None
        return row.state, row.detail

    async def sessions_of(self, run_id: str) -> list[int]:
        return [event.session for event in await self.inner.history(run_id) if isinstance(event, ev.RunStarted)]


def engine_on(store: FaultyStore, clock: FakeClock) -> Engine:
    program = Program()
    for workflow in app.workflows:
        program.add(workflow.definition)
    return Engine(store, program, EngineOptions(clock=clock, lease_us=int(LEASE_S * 1e6)))


def play(scenario: Callable[[Pair], Awaitable[None]]) -> None:
    """Both engines run while the scenario does, and stop in good order."""
    logging.getLogger("aeterna").setLevel(logging.CRITICAL + 1)
    executed.clear()
    clock = FakeClock()

    async def main() -> None:
        pair = Pair(clock)
        for engine in pair.engines:
            await engine.start()
        try:
            await scenario(pair)
        finally:
            for link, engine in zip(pair.links, pair.engines, strict=True):
                link.let_go()
                await engine.stop()

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock, patience_s=0)) as runner:
        runner.run(main())


def test_a_process_that_dies_without_a_word_is_succeeded_after_its_lease() -> None:
    async def scenario(pair: Pair) -> None:
        await pair.start("j", pair.a, "job")
        await sleep(2.5)
        pair.links[0].hold()
        await sleep(LEASE_S)
        assert await pair.owner("j") == pair.b.session
        run = await await_result(OwnWorld(pair.b), "j", 60)
        assert run.state is State.COMPLETED
        sessions = await pair.sessions_of("j")
        assert len(sessions) == 2
        assert sessions[1] == pair.b.session

    play(scenario)


def test_a_process_that_was_asleep_begins_nothing_after_its_lease_and_goes_on_in_a_new_session() -> None:
    async def scenario(pair: Pair) -> None:
        first = pair.a.session
        await pair.start("j", pair.a, "job")
        await sleep(0.5)
        pair.links[0].hold()
        await sleep(LEASE_S + 5)
        before = executed.copy()
        assert not pair.a.lease.holds()  # type: ignore[union-attr]
        pair.links[0].let_go()
        await sleep(5)
        assert pair.a.session != first
        assert pair.a.lease.holds()  # type: ignore[union-attr]
        assert not pair.a.is_resident("j")
        assert (await await_result(OwnWorld(pair.b), "j", 60)).state is State.COMPLETED
        assert executed["j 0"] == 2, "it was under way when the link was held"
        assert before["j 1"] <= 1
        assert all(executed[f"j {number}"] == 1 for number in range(1, 6))
        await pair.start("k", pair.a, "job")
        assert (await await_result(OwnWorld(pair.a), "k", 60)).state is State.COMPLETED

    play(scenario)


def test_a_step_does_not_begin_when_the_lease_ended_after_it_was_due() -> None:
    """A process may be stopped at any place; what it goes on with looks at its lease once more."""

    async def scenario(pair: Pair) -> None:
        spawn, lease = pair.a.spawn, pair.a.lease
        assert lease is not None
        held_up = False

        def spawn_late(work: Work, wait: Wait, attempt: int) -> asyncio.Task[None]:
            nonlocal held_up
            if not held_up and executed["j 0"]:
                held_up = True
                lease.end()
            return spawn(work, wait, attempt)

        pair.a.spawn = spawn_late  # type: ignore[method-assign]
        await pair.start("j", pair.a, "job")
        await sleep(2)
        assert held_up
        assert not executed["j 1"]
        # The next renewal says that the session lives.
        assert (await await_result(OwnWorld(pair.a), "j", 60)).state is State.COMPLETED
        assert all(executed[f"j {number}"] == 1 for number in range(6))

    play(scenario)


@pytest.mark.parametrize("is_deaf", [False, True])
def test_a_signal_reaches_the_run_wherever_it_is(*, is_deaf: bool) -> None:
    """A notice brings it at once; without one it is found at the next look."""

    async def scenario(pair: Pair) -> None:
        pair.links[0].is_deaf = pair.links[1].is_deaf = is_deaf
        await pair.start("w", pair.a, "waiter")
        await sleep(0.5)
        assert await pair.owner("w") == pair.a.session
        await signal(OwnWorld(pair.b), "w", "word", Payload(b'j"go"'), "1")
        await sleep(1.5 if is_deaf else 0.01)
        assert (await pair.state("w"))[0] is State.COMPLETED
        assert await pair.inner.inbox("w") == []

    play(scenario)


def test_a_run_that_waits_belongs_to_nobody_after_a_while_and_anybody_takes_it() -> None:
    async def scenario(pair: Pair) -> None:
        await pair.start("w", pair.a, "waiter")
        await pair.start("s", pair.a, "sleeper")
        await sleep(10)
        assert [await pair.owner(run_id) for run_id in "ws"] == [None, None]
        assert await pair.state("w") == (State.RUNNING, Detail.WAITING_SIGNAL)
        pair.links[0].hold()
        await signal(OwnWorld(pair.b), "w", "word", Payload(b'j"go"'), "")
        assert (await await_result(OwnWorld(pair.b), "w", 1)).state is State.COMPLETED
        run = await await_result(OwnWorld(pair.b), "s", 60)
        assert run.last_us - run.created_us < 62_000_000, "it wakes within two seconds"

    play(scenario)


@pytest.mark.parametrize("is_deaf", [False, True])
def test_the_end_of_a_run_is_heard_of_elsewhere(*, is_deaf: bool) -> None:
    async def scenario(pair: Pair) -> None:
        pair.links[1].is_deaf = is_deaf
        await pair.start("j", pair.a, "job")
        run = await await_result(OwnWorld(pair.b), "j", 8)
        assert run.state is State.COMPLETED

    play(scenario)


def test_a_child_may_end_in_another_process_than_its_parent() -> None:
    """The process that had both is lost; one of them takes the parent over, and finds the child, whoever has it."""

    async def scenario(pair: Pair) -> None:
        await pair.start("f", pair.a, "family")
        await sleep(2.5)
        pair.links[0].hold()
        await sleep(LEASE_S + 1)
        pair.links[0].let_go()
        run = await await_result(OwnWorld(pair.b), "f", 60)
        assert run.state is State.COMPLETED
        child = fold(await pair.inner.history("f/0:job:1"))
        assert child.state is State.COMPLETED

    play(scenario)


def test_a_pause_and_a_cancellation_reach_another_process() -> None:
    async def scenario(pair: Pair) -> None:
        await pair.start("j", pair.a, "job")
        await sleep(1.5)
        await pause(OwnWorld(pair.b), "j", "later")
        await sleep(5)
        assert await pair.state("j") == (State.RUNNING, Detail.PAUSED)
        await resume(OwnWorld(pair.b), "j")
        await sleep(0.1)
        assert (await pair.state("j"))[1] is Detail.LEASED
        assert await pair.b.cancel("j", "enough")
        assert not await pair.b.cancel("j", "enough")
        run = await await_result(OwnWorld(pair.b), "j", 5)
        assert (run.state, run.cancel_reason) == (State.CANCELLED, "enough")

    play(scenario)


def test_a_query_is_answered_by_whoever_has_the_code() -> None:
    async def scenario(pair: Pair) -> None:
        await pair.start("w", pair.a, "waiter")
        with pytest.raises(Exception, match="answers no query 'x'"):
            await pair.b.query("w", "x", Payload(b"j[[],{}]"))

    play(scenario)


def test_a_notice_of_the_end_of_the_session_is_acted_on_at_once() -> None:
    async def scenario(pair: Pair) -> None:
        first = pair.a.session
        await pair.start("j", pair.a, "job")
        await sleep(1.5)
        await pair.b.store.close_session(first, pair.b.clock.now_us(), died=True)
        pair.a.lookout.hear(Notice(NoticeKind.LOST))
        await sleep(1)
        assert pair.a.session != first
        assert (await await_result(OwnWorld(pair.a), "j", 60)).state is State.COMPLETED

    play(scenario)


@app.workflow
async def poison(ctx: Context) -> int:
    return await ctx.step(long_part, ctx.run_id)


@app.step
async def long_part(run_id: str) -> int:
    executed[run_id] += 1
    await sleep(30)
    return 1


def test_a_run_that_kills_its_processes_is_set_aside_until_somebody_resumes_it() -> None:
    async def scenario(pair: Pair) -> None:
        pair.inner.set_crash_limit(3)
        await pair.start("p", pair.a, "poison")
        for _ in range(8):
            await sleep(2)
            owner = await pair.owner("p")
            for engine in pair.engines:
                if engine.session == owner:
                    await pair.inner.close_session(owner, engine.clock.now_us(), died=True)
                    engine.lookout.hear(Notice(NoticeKind.LOST))
        await sleep(12)
        row = await pair.inner.get_run("p")
        assert row is not None
        assert (row.state, row.detail, row.owner) == (State.RUNNING, Detail.STUCK, None)
        assert "processes in a row died while they executed it" in row.note
        begun = executed["p"]
        assert 3 <= begun <= 4
        await sleep(100)
        assert executed["p"] == begun, "nobody takes it"
        await resume(OwnWorld(pair.a), "p")
        assert (await await_result(OwnWorld(pair.a), "p", 60)).state is State.COMPLETED

    play(scenario)
