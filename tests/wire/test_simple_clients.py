"""Clients that call a function for a run, and report its steps, by unary calls only."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.states import State
from aeterna.durable.stores.contract import MessageKind, Post
from aeterna.durable.wire.generated import records_pb2
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.durable.wire.services import Caller
from tests.wire.serving import CLOCK, serving
from tests.wire.test_session import creation

CHOICE = records_pb2.Choice(workflows=[records_pb2.Choice.Workflow(name="w", version="1")])


class Simple:
    """One client with a session."""

    def __init__(self, channel, namespace="orders"):
        self.caller = Caller(channel)
        self.namespace = namespace
        self.token = ""

    async def ask(self, method, request):
        request.namespace = self.namespace
        return await self.caller("WorkerService", method)(request, timeout=10)

    async def register(self, **how):
        response = await self.ask("Register", pb.RegisterRequest(worker_id="simple", choice=CHOICE, **how))
        self.token = response.session_token
        return response

    def poll(self, max_tasks=1):
        request = pb.PollRequest(namespace=self.namespace, session_token=self.token, max_tasks=max_tasks)
        return self.caller("WorkerService", "PollTasks")(request)

    async def report(self, task, name, output=b"j1", status=pb.STEP_STATUS_COMPLETED, **how):
        request = pb.ReportStepRequest(task_token=task.task_token, step_name=name, status=status, output=output, **how)
        return await self.ask("ReportStep", request)

    async def complete(self, task, **outcome):
        return await self.ask("CompleteStep", pb.CompleteStepRequest(task_token=task.task_token, **outcome))

    async def beat(self, *tasks, **how):
        tokens = [task.task_token for task in tasks]
        return await self.ask("Heartbeat", pb.HeartbeatRequest(session_token=self.token, task_tokens=tokens, **how))


@asynccontextmanager
async def client(served):
    async with grpc.aio.insecure_channel(served.address) as channel:
        simple = Simple(channel)
        await simple.register()
        yield simple


async def next_task(poll):
    async with asyncio.timeout(10):
        return await poll.read()


def run(scenario):
    async def bounded():
        async with asyncio.timeout(60), serving() as served:
            await scenario(served, await served.desk())

    asyncio.run(bounded())


async def refused(call, code):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert error.value.code() is code, error.value.details()
    return error.value.details()


def test_a_task_is_polled_reported_and_completed():
    async def scenario(served, desk):
        async with client(served) as simple:
            await desk.commit(creation("a"))
            poll = simple.poll()
            task = await next_task(poll)
            assert (task.workflow_id, task.workflow, task.arguments, list(task.steps)) == ("a", "w", b"j[]", [])
            names = ["charge-card", "a.b.c", "with space/and:colon", "charge-card"]
            assert [(await simple.report(task, name)).occurrence for name in names] == [1, 1, 1, 2]
            failed = records_pb2.ErrorInfo(type="builtins:ValueError", message="no")
            await simple.report(task, "ship", status=pb.STEP_STATUS_FAILED, error=failed, output=None)
            await simple.complete(task, result=b"j7")
            await simple.complete(task, result=b"j7")
            history = await desk.store.history("a")
            steps = [(event.name, event.occurrence) for event in history if isinstance(event, ev.StepCompleted)]
            assert steps == [("charge-card", 1), ("a.b.c", 1), ("with space/and:colon", 1), ("charge-card", 2)]
            assert isinstance(history[-1], ev.RunCompleted)
            assert (await desk.store.get_run("a")).state is State.COMPLETED
            # There is room for the next one.
            await desk.commit(creation("b"))
            assert (await next_task(poll)).workflow_id == "b"
            poll.cancel()

    run(scenario)


def test_a_report_said_twice_counts_once_and_who_takes_over_gets_the_steps():
    async def scenario(served, desk):
        async with client(served) as first, client(served) as second:
            await desk.commit(creation("a"))
            poll = first.poll()
            task = await next_task(poll)
            await first.report(task, "one", occurrence=1, output=b'j"x"')
            await first.report(task, "one", occurrence=1, output=b'j"x"')
            assert (await first.beat(task)).ok
            poll.cancel()
            await first.beat(is_goodbye=True)
            again = await next_task(second.poll())
            assert [(step.name, step.result) for step in again.steps] == [("one", b'j"x"')]
            for call in (first.report(task, "two"), first.complete(task, result=b"j1")):
                assert "another worker has it" in await refused(call, grpc.StatusCode.FAILED_PRECONDITION)
            assert list((await second.beat(task)).lost) == [task.task_token]
            await second.complete(again, error=records_pb2.ErrorInfo(type="builtins:KeyError", message="k"))
            assert (await desk.store.get_run("a")).state is State.FAILED

    run(scenario)


def test_what_was_reported_stays_and_another_outcome_is_refused():
    """What took how long is no part of it: one that is sent again may say otherwise."""

    async def scenario(served, desk):
        async with client(served) as simple:
            await desk.commit(creation("a"))
            task = await next_task(simple.poll())
            await simple.report(task, "one", occurrence=1, output=b"j5", attempt=1, duration_us=9)
            assert (await simple.report(task, "one", occurrence=1, output=b"j5", attempt=2)).occurrence == 1
            failed = {"status": pb.STEP_STATUS_FAILED, "error": records_pb2.ErrorInfo(type="E", message="e")}
            for other in ({"output": b"j6"}, {**failed, "output": None}):
                call = simple.report(task, "one", occurrence=1, **other)
                assert "with another outcome" in await refused(call, grpc.StatusCode.FAILED_PRECONDITION)
            call = simple.report(task, "one", occurrence=9)
            assert "the next one is number 2, not 9" in await refused(call, grpc.StatusCode.INVALID_ARGUMENT)
            await simple.complete(task, result=b"j7")
            await simple.complete(task, result=b"j7")
            call = simple.complete(task, result=b"j8")
            assert "with another outcome" in await refused(call, grpc.StatusCode.FAILED_PRECONDITION)
            steps = [event for event in await desk.store.history("a") if isinstance(event, ev.StepCompleted)]
            assert [(event.occurrence, event.result) for event in steps] == [(1, b"j5")]

    run(scenario)


def test_reports_at_the_same_time_are_all_recorded():
    async def scenario(served, desk):
        async with client(served) as simple:
            await desk.commit(creation("a"))
            task = await next_task(simple.poll())
            await asyncio.gather(*(simple.report(task, f"step-{number}") for number in range(30)))
            await simple.complete(task, cancelled="enough")
            history = await desk.store.history("a")
            assert sum(isinstance(event, ev.StepCompleted) for event in history) == 30
            assert (await desk.store.get_run("a")).state is State.CANCELLED

    run(scenario)


def test_a_request_to_cancel_reaches_the_client():
    async def scenario(served, desk):
        async with client(served) as simple:
            await desk.commit(creation("a"))
            task = await next_task(simple.poll())
            assert not (await simple.beat(task)).cancel_requested
            await desk.commit(Post("a", "", MessageKind.CANCEL, "why", ev.Payload(b"jnull"), CLOCK.now_us()))
            assert list((await simple.beat(task)).cancel_requested) == [task.task_token]
            assert (await simple.report(task, "last")).cancel_requested

    run(scenario)


def test_a_client_that_says_nothing_loses_its_tasks():
    async def scenario(served, desk):
        async with client(served) as other, grpc.aio.insecure_channel(served.address) as channel:
            silent = Simple(channel)
            assert (await silent.register(lease_us=200_000)).lease_us == 200_000
            await desk.commit(creation("a"))
            poll = silent.poll()
            task = await next_task(poll)
            again = await next_task(other.poll())
            assert again.workflow_id == task.workflow_id
            assert again.task_token != task.task_token
            assert "Register again" in await refused(next_task(poll), grpc.StatusCode.FAILED_PRECONDITION)
            assert "Register again" in await refused(silent.beat(task), grpc.StatusCode.FAILED_PRECONDITION)

    run(scenario)


def test_a_session_goes_on_at_a_server_that_was_started_again():
    async def scenario(served, desk):
        async with client(served) as simple:
            await desk.commit(creation("a"))
            task = await next_task(simple.poll())
            await served.stop()
            await served.start()
            async with grpc.aio.insecure_channel(served.address) as channel:
                simple.caller = Caller(channel)
                assert (await simple.beat(task)).ok
                await simple.complete(task, result=b"j1")
                assert (await (await served.desk()).store.get_run("a")).state is State.COMPLETED

    run(scenario)


def test_what_makes_no_sense_is_refused_with_words():
    async def scenario(served, desk):
        async with client(served) as simple:
            invalid = grpc.StatusCode.INVALID_ARGUMENT
            nonsense = pb.Task(task_token="no token")
            assert "task token" in await refused(simple.report(nonsense, "s"), invalid)
            assert "task token" in await refused(simple.complete(nonsense, result=b"j1"), invalid)
            await desk.commit(creation("a"))
            poll = simple.poll()
            task = await next_task(poll)
            second = simple.poll()
            assert "polls already" in await refused(second.read(), grpc.StatusCode.FAILED_PRECONDITION)
            assert "names its step" in await refused(simple.report(task, ""), invalid)
            assert "status" in await refused(simple.report(task, "s", status=77), invalid)
            assert "encoding" in await refused(simple.report(task, "s", output=b"x"), invalid)
            assert "a result, an error" in await refused(simple.complete(task), invalid)
            simple.token = "AAAA"
            assert "session token" in await refused(simple.beat(), invalid)
            simple.namespace = "x" * 65
            assert "use up to 64 letters" in await refused(simple.register(), invalid)

    run(scenario)
