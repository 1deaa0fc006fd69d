"""Random calls of the gRPC API, one after the other, against a model: every answer is the one the model gives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from itertools import count, takewhile
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from aeterna import App, Context
from aeterna.durable.core import codec
from aeterna.durable.core import events as ev
from aeterna.durable.core.segment import decode_segment
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.wire.generated import admin_pb2 as admin
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.durable.wire.generated import records_pb2 as records
from aeterna.durable.wire.services import CHANNEL_OPTIONS, Caller
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from tests.cluster.api_model import ModelRun, echo, waiter
from tests.cluster.results import IS_CHAOS

EXAMPLES, CALLS = (400, 60) if IS_CHAOS else (20, 25)
END_S = 20.0
_namespaces = count(1)

Code = grpc.StatusCode

pytestmark = pytest.mark.timeout(0 if IS_CHAOS else 240)


def build(namespace: str, server: str) -> App:
    """A worker for the model's two workflows."""
    app = App(namespace, server=server)

    @app.step
    async def last(value: Any) -> Any:
        return value

    @app.workflow(name="echo")
    async def echo_workflow(ctx: Context, value: int) -> Any:
        return await last(value)

    @app.workflow(name="waiter")
    async def waiter_workflow(ctx: Context, wanted: int) -> Any:
        heard: list[int] = []
        ctx.query(lambda: heard, name="heard")
        while len(heard) < wanted:
            heard.append(await ctx.wait_signal("go", int))
        return await last(heard)

    return app


def payload(value: object) -> bytes:
    return codec.encode(value, "a value", 1_000)


class Api(RuleBasedStateMachine):
    """One namespace. ``runs``: what the model holds, by id."""

    runner: asyncio.Runner
    address: str

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, ModelRun] = {}
        self.namespace = f"n{next(_namespaces)}"
        self.app = build(self.namespace, self.address)
        self.channel: grpc.aio.Channel
        self.do(self._open())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def _open(self) -> None:
        self.channel = grpc.aio.insecure_channel(self.address, CHANNEL_OPTIONS)
        self.caller = Caller(self.channel)
        await self.app.engine()

    def teardown(self) -> None:
        async def close() -> None:
            await self.app.close()
            await self.channel.close()

        self.do(close())

    def call(self, method: str, request: Any, service: str = "ClientService") -> Any:
        """The answer, or the status code of the refusal."""

        async def ask() -> Any:
            try:
                return await self.caller(service, method)(request, timeout=END_S)
            except grpc.aio.AioRpcError as error:
                return error

        found = self.do(ask())
        if not isinstance(found, grpc.aio.AioRpcError):
            return found
        assert found.details(), "an error says what is wrong"
        return found.code()

    def stream(self, method: str, request: Any) -> list[Any]:
        async def read() -> list[Any]:
            return [each async for each in self.caller("AdminService", method)(request, timeout=END_S)]

        found: list[Any] = self.do(read())
        return found

    def expect_end(self, run_id: str) -> None:
        """What the model says has ended ends, with the model's result."""
        run = self.runs[run_id]
        if not run.has_ended:
            return
        found = self.call("AwaitResult", pb.AwaitResultRequest(namespace=self.namespace, id=run_id))
        assert records.State.Name(found.state) == f"STATE_{run.state}", (run_id, run, found)
        if run.state == "COMPLETED":
            assert codec.decode(found.result, Any, "the result") == run.result

    def start(self, run_id: str, workflow: str, argument: int) -> pb.StartWorkflowRequest:
        return pb.StartWorkflowRequest(
            namespace=self.namespace, id=run_id, workflow=workflow, arguments=payload([[argument], {}])
        )

    def add(self, run_id: str, workflow: str, argument: int) -> None:
        self.runs[run_id] = echo(argument) if workflow == "echo" else waiter(argument)
        self.expect_end(run_id)

    def each(self, index: int, act: Callable[[str, ModelRun | None], None]) -> None:
        """Do it with some run, or with one that does not exist."""
        ids = [*self.runs, "nobody"]
        run_id = ids[index % len(ids)]
        act(run_id, self.runs.get(run_id))

    @rule(number=st.integers(0, 5), workflow=st.sampled_from(["echo", "waiter"]), argument=st.integers(0, 3))
    def starts(self, number: int, workflow: str, argument: int) -> None:
        run_id = f"r{number}"
        known = self.runs.get(run_id)
        found = self.call("StartWorkflow", self.start(run_id, workflow, argument))
        if known is not None and known.workflow != workflow:
            assert found == Code.ALREADY_EXISTS
            return
        assert (found.id, found.created) == (run_id, known is None)
        if known is None:
            self.add(run_id, workflow, argument)

    @rule(numbers=st.lists(st.integers(6, 9), min_size=1, max_size=3), argument=st.integers(0, 2))
    def starts_a_batch(self, numbers: list[int], argument: int) -> None:
        ids = [f"r{number}" for number in numbers]
        starts = [self.start(run_id, "waiter", argument) for run_id in ids]
        found = self.call("BatchStart", pb.BatchStartRequest(namespace=self.namespace, starts=starts))
        for run_id, each in zip(ids, found.results, strict=True):
            assert each.started.id == run_id, each
            assert each.started.created == (run_id not in self.runs)
            if run_id not in self.runs:
                self.add(run_id, "waiter", argument)

    @rule(index=st.integers(0, 20), value=st.integers(0, 99), signal_id=st.sampled_from(["", "a", "b", "c"]))
    def signals(self, index: int, value: int, signal_id: str) -> None:
        def act(run_id: str, run: ModelRun | None) -> None:
            request = pb.SignalRequest(
                namespace=self.namespace, id=run_id, name="go", payload=payload(value), signal_id=signal_id
            )
            found = self.call("SignalWorkflow", request)
            if self._is_refused(run, found):
                return
            assert run is not None
            assert found.is_duplicate == (not run.signal(value, signal_id))
            self.expect_end(run_id)

        self.each(index, act)

    @rule(number=st.integers(0, 5), value=st.integers(0, 99), wanted=st.integers(1, 3))
    def signals_with_start(self, number: int, value: int, wanted: int) -> None:
        run_id = f"r{number}"
        known = self.runs.get(run_id)
        start = self.start(run_id, "waiter", wanted)
        request = pb.SignalWithStartRequest(start=start, signal_name="go", payload=payload(value))
        found = self.call("SignalWithStart", request)
        if known is not None and known.workflow != "waiter":
            assert found == Code.ALREADY_EXISTS
            return
        if known is not None and self._is_refused(known, found):
            return
        assert (found.id, found.created, found.is_duplicate) == (run_id, known is None, False)
        if known is None:
            self.runs[run_id] = waiter(wanted)
        self.runs[run_id].signal(value, "")
        self.expect_end(run_id)

    @rule(index=st.integers(0, 20), verb=st.sampled_from(["Pause", "Resume", "Cancel", "Terminate"]))
    def orders(self, index: int, verb: str) -> None:
        def act(run_id: str, run: ModelRun | None) -> None:
            request = getattr(pb, f"{verb}Request")(namespace=self.namespace, id=run_id)
            found = self.call(f"{verb}Workflow", request)
            if self._is_refused(run, found):
                return
            assert not isinstance(found, Code), found
            {"Pause": ModelRun.pause, "Resume": ModelRun.resume}.get(verb, ModelRun.cancel)(_known(run))
            self.expect_end(run_id)

        self.each(index, act)

    @rule(index=st.integers(0, 20))
    def asks_for_the_status(self, index: int) -> None:
        def act(run_id: str, run: ModelRun | None) -> None:
            found = self.call("GetWorkflowStatus", pb.GetStatusRequest(namespace=self.namespace, id=run_id))
            if run is None:
                assert found == Code.NOT_FOUND
                return
            state = records.State.Name(found.state).removeprefix("STATE_")
            assert state == run.state or (state == "PENDING" and run.state == "RUNNING")
            assert found.HasField("completed_us") == run.has_ended

        self.each(index, act)

    @rule(index=st.integers(0, 20))
    def waits_for_nothing(self, index: int) -> None:
        def act(run_id: str, run: ModelRun | None) -> None:
            request = pb.AwaitResultRequest(namespace=self.namespace, id=run_id, timeout_seconds=0.01)
            found = self.call("AwaitResult", request)
            if run is None:
                assert found == Code.NOT_FOUND
            elif not run.has_ended:
                assert found == Code.DEADLINE_EXCEEDED

        self.each(index, act)

    @rule(index=st.integers(0, 20))
    def queries(self, index: int) -> None:
        """A query is answered from what the run has heard, which is all that was accepted, in order, in the end."""

        def act(run_id: str, run: ModelRun | None) -> None:
            request = pb.QueryRequest(namespace=self.namespace, id=run_id, name="heard")
            found = self.call("QueryWorkflow", request)
            if run is None:
                assert found == Code.NOT_FOUND
            elif run.workflow == "echo":
                assert found == Code.INVALID_ARGUMENT
            elif run.state != "CANCELLED":
                heard = codec.decode(found.answer, list[int], "the answer")
                assert heard == run.sent[: len(heard)]
                assert run.state != "COMPLETED" or heard == run.result

        self.each(index, act)

    @rule(index=st.integers(0, 20), position=st.integers(0, 12))
    def forks(self, index: int, position: int) -> None:
        """A fork has heard what its part of the history says, and goes on from there, neither paused nor cancelled."""

        def act(run_id: str, run: ModelRun | None) -> None:
            events = self.history(run_id) if run is not None else []
            found = self.call("ForkWorkflow", pb.ForkRequest(namespace=self.namespace, id=run_id, position=position))
            if run is None:
                # One that says no place is wrong whatever the run.
                assert found == (Code.NOT_FOUND if position else Code.INVALID_ARGUMENT)
                return
            if not 1 <= position <= len(events):
                # An unfinished run may have got longer meanwhile.
                assert found == Code.INVALID_ARGUMENT or not run.has_ended
            if isinstance(found, Code):
                assert found == Code.INVALID_ARGUMENT
                return
            self._expect_fork(found.id, run, self.history(run_id)[:position])

        self.each(index, act)

    def _expect_fork(self, fork_id: str, origin: ModelRun, events: list[ev.AnyEvent]) -> None:
        if origin.workflow == "echo":
            self.runs[fork_id] = echo(_known_int(origin.result))
        else:
            fork = ModelRun("waiter", origin.count)
            kept = takewhile(lambda each: not isinstance(each, ev.CancelRequested), events)
            fork.sent = [codec.decode(each.payload, int, "it") for each in kept if isinstance(each, ev.SignalReceived)]
            fork.settle()
            self.runs[fork_id] = fork
        self.expect_end(fork_id)

    def history(self, run_id: str) -> list[ev.AnyEvent]:
        segments = self.stream("GetHistory", admin.HistoryRequest(namespace=self.namespace, id=run_id))
        return [event for segment in segments for event in decode_segment(segment.body)]

    @rule(ids=st.lists(st.integers(0, 20), max_size=3))
    def deletes(self, ids: list[int]) -> None:
        known = list(self.runs)
        chosen = sorted({known[index % len(known)] for index in ids} if known else set())
        request = admin.DeleteWorkflowsRequest(namespace=self.namespace, ids=[*chosen, "nobody"])
        found = self.call("DeleteWorkflows", request, "AdminService")
        gone = [run_id for run_id in chosen if self.runs[run_id].has_ended]
        assert found.deleted == len(gone)
        for run_id in gone:
            del self.runs[run_id]

    @precondition(lambda self: self.runs)
    @rule(limit=st.integers(1, 20))
    def lists_some(self, limit: int) -> None:
        found = self.stream("ListWorkflows", admin.ListRequest(namespace=self.namespace, limit=limit))
        assert len(found) == min(limit, len(self.runs))
        keys = [each.key for each in found]
        assert keys == sorted(keys, reverse=True)

    @invariant()
    def the_list_is_the_models(self) -> None:
        found = self.stream("ListWorkflows", admin.ListRequest(namespace=self.namespace, limit=1_000))
        states = {each.id: records.State.Name(each.state).removeprefix("STATE_") for each in found}
        expected = {run_id: run.state for run_id, run in self.runs.items()}
        assert {run_id: "RUNNING" if state == "PENDING" else state for run_id, state in states.items()} == expected

    def _is_refused(self, run: ModelRun | None, found: Any) -> bool:
        """An order or a signal to a run that is not there, or has ended."""
        if run is None:
            assert found == Code.NOT_FOUND
        elif run.has_ended:
            assert found == Code.FAILED_PRECONDITION
        else:
            return False
        return True


def _known(run: ModelRun | None) -> ModelRun:
    assert run is not None
    return run


def _known_int(value: object) -> int:
    assert isinstance(value, int)
    return value


@pytest.fixture(scope="module")
def machine() -> Iterator[type[Api]]:
    """The machine, over a server of this process that is reached over its port."""
    with asyncio.Runner() as runner, contextlib.ExitStack() as life:
        stack = contextlib.AsyncExitStack()
        # Each example has a namespace of its own, and to make a failure small takes many examples.
        options = ServeOptions(grpc_port=0, coordinator=CoordinatorOptions(namespaces_max=1_000_000))
        addresses = runner.run(stack.enter_async_context(serving(MemoryNamespaces(), options)))
        life.callback(lambda: runner.run(stack.aclose()))
        Api.runner, Api.address = runner, addresses.grpc
        yield Api


def test_every_answer_is_the_models(machine: type[Api]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=CALLS, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
