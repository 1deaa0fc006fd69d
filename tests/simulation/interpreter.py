"""Carries out the programs of ``programs`` as workflows, and tells the world what it does and decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aeterna import App, Context, RetryPolicy
from aeterna.kernel.clock import sleep
from tests.simulation.programs import Node


class World(Protocol):
    """What is outside of all processes."""

    def begin(self, label: str) -> int:
        """A step begins to execute; returns how often it began before."""
        ...

    def incarnate(self, run_id: str) -> int:
        """The run's code starts from the beginning, live or on replay; returns the life to name in `note`."""
        ...

    def note(self, life: int, run_id: str, decision: str, *, is_replaying: bool) -> None:
        """The run's code decided something that depended on who was first."""
        ...


class Broken(Exception):
    """What steps raise on purpose."""


class Stage:
    """Holds the world that the steps see at the moment."""

    world: World


stage = Stage()
app = App("simulation", store="memory:")
PATIENT = RetryPolicy(maximum_attempts=50, initial_interval=0.03, maximum_interval=0.5)


@app.step
async def work(label: str, ms: int) -> str:
    stage.world.begin(label)
    await sleep(ms / 1000)
    return label


@app.step(pure=True)
async def think(label: str, ms: int) -> str:
    stage.world.begin(label)
    await sleep(ms / 1000)
    return label


@app.step(retry=PATIENT)
async def flaky(label: str, ms: int, failures: int) -> str:
    before = stage.world.begin(label)
    await sleep(ms / 1000)
    if before < failures:
        raise Broken(label)
    return label


@app.step
async def fail(label: str, ms: int) -> str:
    stage.world.begin(label)
    await sleep(ms / 1000)
    raise Broken(label)


@app.step
async def spoil(label: str, ms: int, given: list[Any]) -> str:
    """Changes its arguments, which are its own."""
    stage.world.begin(label)
    given[1].append(label)
    await sleep(ms / 1000)
    given.clear()
    return label


@app.workflow
async def perform(ctx: Context, program: Node) -> Any:
    """The workflow: carry out one program."""
    return await Interpreter(ctx, stage.world).value(program)


class Interpreter:
    """One run's way through its program."""

    def __init__(self, ctx: Context, world: World) -> None:
        self.ctx = ctx
        self._world = world
        self._life = world.incarnate(ctx.run_id)

    def note(self, decision: str) -> None:
        ctx, task = self.ctx, asyncio.current_task()
        assert task is not None
        if not ctx._execution.is_closing:
            text = f"{task.get_name()}: {decision}"
            self._world.note(self._life, ctx.run_id, text, is_replaying=ctx.is_replaying)

    async def value(self, node: Node) -> Any:
        match node:
            case ["step", kind, label, ms, failures]:
                return await self._step(kind, label, ms, failures)
            case ["raise", label, ms]:
                return await self.ctx.step(fail, label, ms)
            case ["sleep", ms]:
                return await self.ctx.sleep(seconds=ms / 1000)
            case ["seq", inner]:
                return [await self.value(part) for part in inner]
            case ["loop", count, label, ms]:
                return [await self.ctx.step("turn", work, f"{label}.{index}", ms) for index in range(count)]
            case ["guard", inner]:
                return await self._guarded(inner)
            case ["all", how, inner]:
                return await FORKS[how](self, inner)
            case ["race", inner]:
                return await self._race(inner)
            case ["timeout", ms, inner]:
                return await self._timeout(ms, inner)
            case ["cleanup", ms, label, inner]:
                return await self._badly_cleaned_up(ms, label, inner)
            case ["watched", inner]:
                return await self._watched(inner)
            case ["child", inner]:
                return await self.ctx.child(perform, inner)
            case ["leave", how, ms, inner]:
                return await self._leave_child(how, ms, inner)
            case _:
                raise AssertionError(node)

    async def _step(self, kind: str, label: str, ms: int, failures: int) -> str:
        match kind:
            case "flaky":
                return await self.ctx.step(flaky, label, ms, failures)
            case "fail":
                try:
                    return await self.ctx.step(fail, label, ms)
                except Broken as error:
                    return f"failed {error}"
            case "pure":
                return await think(label, ms)
            case "spoil":
                return await self._spoiled(label, ms)
            case _:
                return await work(label, ms)

    async def _guarded(self, inner: Node) -> str:
        try:
            # In a task of its own: until Python 3.13 a task group that failed leaves its task's count of
            # cancellations too
            # high, and a timeout around it would then take its own cancellation for somebody else's.
            await asyncio.create_task(self.value(inner))
        except* Broken as group:
            self.note(f"caught {sorted(str(error) for error in _flat(group))}")
            return_value = "caught"
        else:
            return_value = "nothing was raised"
        return return_value

    async def _race(self, inner: list[Node]) -> Any:
        tasks = [asyncio.create_task(self.value(part)) for part in inner]
        try:
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self.note(f"first {[tasks.index(task) for task in done]}")
        finally:
            for task in tasks:
                task.cancel()
        if pending:
            await asyncio.wait(pending)
        winner = next(iter(done))
        return [tasks.index(winner), winner.result()]

    async def _timeout(self, ms: int, inner: Node) -> Any:
        try:
            async with self.ctx.timeout(ms / 1000):
                return await self.value(inner)
        except TimeoutError:
            self.note("timeout")
            return "timeout"

    async def _spoiled(self, label: str, ms: int) -> str:
        """What a step does to its arguments does not reach the workflow."""
        given: list[Any] = [1, ["two"], {"three": 3}]
        result = await self.ctx.step(spoil, label, ms, given)
        return result if given == [1, ["two"], {"three": 3}] else f"the step changed the workflow's list: {given}"

    async def _watched(self, inner: Node) -> Any:
        """A callback that fails disturbs nobody."""

        def complain(_: object) -> None:
            raise Broken("a callback")

        task = asyncio.create_task(self.value(inner))
        task.add_done_callback(complain)
        return await task

    async def _badly_cleaned_up(self, ms: int, label: str, inner: Node) -> Any:
        """Cleaning up after a timeout takes a step, and then fails: it is the failure that comes out."""
        try:
            async with self.ctx.timeout(ms / 1000):
                is_done = False
                try:
                    value = await self.value(inner)
                    is_done = True
                finally:
                    if not is_done:
                        await work(label, 3)
                        raise Broken("cleaning up")
        except Broken:
            self.note("not cleaned up")
            return "not cleaned up"
        return value

    async def _leave_child(self, how: str, ms: int, inner: Node) -> str:
        """A child is started, given some time, and not waited for; the end of the run gives it up at the latest."""
        child = asyncio.create_task(self.ctx.child(perform, inner))
        await self.ctx.sleep(ms / 1000)
        if how == "cancelled":
            child.cancel()
        return "left"

    async def parallel(self, inner: list[Node]) -> list[Any]:
        return await self.ctx.parallel([lambda part=part: self.value(part) for part in inner])

    async def gather(self, inner: list[Node]) -> list[Any]:
        return await asyncio.gather(*[self.value(part) for part in inner])

    async def group(self, inner: list[Node]) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.value(part)) for part in inner]
        return [task.result() for task in tasks]

    async def wait(self, inner: list[Node]) -> list[Any]:
        """Takes results as they come, several at a time."""
        tasks = [asyncio.create_task(self.value(part)) for part in inner]
        pending = set(tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            self.note(f"done {[tasks.index(task) for task in done]} pending {[tasks.index(task) for task in pending]}")
        return [task.result() for task in tasks]

    async def ordered(self, inner: list[Node]) -> list[Any]:
        """Branches hand a baton on through events and a lock; all of them count under a semaphore."""
        lock, places = asyncio.Lock(), asyncio.Semaphore(2)
        batons = [asyncio.Event() for _ in range(len(inner) + 1)]
        batons[0].set()

        async def leg(index: int) -> Any:
            async with places:
                self.note(f"place {index}")
                value = await self.value(inner[index])
            await batons[index].wait()
            async with lock:
                self.note(f"leg {index}")
                batons[index + 1].set()
            return value

        return await asyncio.gather(*[leg(index) for index in range(len(inner))])

    async def completed(self, inner: list[Node]) -> list[Any]:
        """Takes results in the order in which they come."""

        async def branch(index: int) -> tuple[int, Any]:
            return index, await self.value(inner[index])

        results: dict[int, Any] = {}
        source: Callable[..., Any] = self.ctx.as_completed if len(inner) % 2 else asyncio.as_completed
        for next_one in source([branch(index) for index in range(len(inner))]):
            index, value = await next_one
            self.note(f"completed {index}")
            results[index] = value
        return [results[index] for index in range(len(inner))]

    async def crew(self, inner: list[Node]) -> list[Any]:
        """Two workers take the parts from a queue."""
        queue: asyncio.Queue[int] = asyncio.Queue()
        results: dict[int, Any] = {}

        async def worker(name: str) -> None:
            while not queue.empty():
                index = queue.get_nowait()
                self.note(f"{name} took {index}")
                results[index] = await self.value(inner[index])
                queue.task_done()

        for index in range(len(inner)):
            queue.put_nowait(index)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker("a"))
            group.create_task(worker("b"))
        await queue.join()
        return [results[index] for index in range(len(inner))]


FORKS: dict[str, Callable[[Interpreter, list[Node]], Awaitable[list[Any]]]] = {
    "parallel": Interpreter.parallel,
    "gather": Interpreter.gather,
    "group": Interpreter.group,
    "wait": Interpreter.wait,
    "ordered": Interpreter.ordered,
    "completed": Interpreter.completed,
    "crew": Interpreter.crew,
}


def _flat(group: BaseExceptionGroup[Broken]) -> list[BaseException]:
    flat: list[BaseException] = []
    for error in group.exceptions:
        flat.extend(_flat(error) if isinstance(error, BaseExceptionGroup) else [error])
    return flat
