"""gRPC: every method of ClientService and AdminService does what its name says."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from aeterna.durable.wire.convert import events_from
from aeterna.durable.wire.generated import admin_pb2 as admin
from aeterna.durable.wire.generated import client_pb2 as client
from aeterna.durable.wire.generated import records_pb2 as records
from tests.server.world import World, served_in, world_in

NS = "orders"


def starting(workflow: str, arguments: bytes = b"", **more: Any) -> client.StartWorkflowRequest:
    return client.StartWorkflowRequest(namespace=NS, workflow=workflow, arguments=arguments, **more)


async def ask(world: World, service: str, method: str, request: Any, **more: Any) -> Any:
    return await world.call(service, method)(request, **more)


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_a_run_from_its_start_to_its_result(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        started = await ask(world, "ClientService", "StartWorkflow", starting("doubled", b"j[[21],{}]", id="a"))
        assert (started.id, started.created) == ("a", True)
        again = await ask(world, "ClientService", "StartWorkflow", starting("doubled", b"j[[21],{}]", id="a"))
        assert not again.created
        result = await ask(world, "ClientService", "AwaitResult", client.AwaitResultRequest(namespace=NS, id="a"))
        assert (result.result, result.state, result.workflow) == (b"j42", records.STATE_COMPLETED, "doubled")
        status = await ask(world, "ClientService", "GetWorkflowStatus", client.GetStatusRequest(namespace=NS, id="a"))
        assert (status.result, status.info.version) == (b"j42", "1")
        history = [
            event
            async for piece in world.call("AdminService", "GetHistory")(admin.HistoryRequest(namespace=NS, id="a"))
            for event in events_from(piece)
        ]
        assert [type(event).__name__ for event in history][::3] == ["RunCreated", "RunCompleted"]


async def test_what_is_wrong_is_said_without_the_place_of_the_store(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        await ask(world, "ClientService", "StartWorkflow", starting("doubled", b"j[[21],{}]", id="a"))
        for method, request in (
            ("GetWorkflowStatus", client.GetStatusRequest(namespace=NS, id="none")),
            ("AwaitResult", client.AwaitResultRequest(namespace=NS, id="none")),
            ("SignalWorkflow", client.SignalRequest(namespace=NS, id="none", name="go")),
            ("QueryWorkflow", client.QueryRequest(namespace=NS, id="none", name="done")),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(world, "ClientService", method, request)
            assert caught.value.details() == f"no run has the id 'none' in namespace '{NS}'"


async def test_waiting_has_a_time_limit_that_the_server_keeps(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        await ask(world, "ClientService", "StartWorkflow", starting("asked", b'j[["hi"],{}]', id="a"))
        request = client.AwaitResultRequest(namespace=NS, id="a", timeout_seconds=0.1)
        assert await code_of(ask(world, "ClientService", "AwaitResult", request)) is grpc.StatusCode.DEADLINE_EXCEEDED
        request = client.AwaitResultRequest(namespace=NS, id="a")
        waiting = ask(world, "ClientService", "AwaitResult", request, timeout=0.3)
        assert await code_of(waiting) is grpc.StatusCode.DEADLINE_EXCEEDED
        late = asyncio.ensure_future(ask(world, "ClientService", "AwaitResult", request))
        signal = client.SignalRequest(namespace=NS, id="a", name="name", payload=b'j"Ada"', signal_id="s")
        assert not (await ask(world, "ClientService", "SignalWorkflow", signal)).is_duplicate
        assert (await late).result == b'j"hi Ada"'


async def test_many_starts_are_answered_one_by_one(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        await ask(world, "ClientService", "StartWorkflow", starting("asked", id="taken"))
        starts = [starting("doubled", id="new"), starting("doubled", id="taken")]
        batch = client.BatchStartRequest(namespace=NS, starts=starts)
        first, second = (await ask(world, "ClientService", "BatchStart", batch)).results
        assert (first.started.id, first.started.created) == ("new", True)
        assert "belongs to a run of workflow 'asked'" in second.error


async def test_a_start_of_a_batch_that_cannot_be_is_answered_for_itself(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        starts = [starting("doubled", id="a"), starting("", id="b"), starting("doubled", b"j[1]", id="c")]
        batch = client.BatchStartRequest(namespace=NS, starts=[*starts, starting("doubled", id="d")])
        results = (await ask(world, "ClientService", "BatchStart", batch)).results
        assert [each.started.id for each in results] == ["a", "", "", "d"]
        assert "workflow ''" in results[1].error
        assert "the arguments" in results[2].error
        body = {"starts": [{"workflow": "doubled", "id": "e"}, {"workflow": "doubled", "id": "f", "debounce": True}]}
        answers = (await world.http.post("/api/workflows/batch", json=body)).json()["results"]
        assert (answers[0]["id"], answers[1]["error"]) == ("e", "UsageError")


async def test_a_signal_starts_the_run_it_is_for(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        request = client.SignalWithStartRequest(
            start=starting("asked", b'j[["hi"],{}]', id="a"), signal_name="name", payload=b'j"Bob"', signal_id="s"
        )
        answer = await ask(world, "ClientService", "SignalWithStart", request)
        assert (answer.id, answer.created, answer.is_duplicate) == ("a", True, False)
        result = await ask(world, "ClientService", "AwaitResult", client.AwaitResultRequest(namespace=NS, id="a"))
        assert result.result == b'j"hi Bob"'


async def test_a_run_is_forked_from_a_step(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        await ask(world, "ClientService", "StartWorkflow", starting("doubled", b"j[[21],{}]", id="a"))
        await ask(world, "ClientService", "AwaitResult", client.AwaitResultRequest(namespace=NS, id="a"))
        fork = await ask(
            world, "ClientService", "ForkWorkflow", client.ForkRequest(namespace=NS, id="a", step="double")
        )
        ended = await ask(world, "ClientService", "AwaitResult", client.AwaitResultRequest(namespace=NS, id=fork.id))
        assert (ended.result, fork.id != "a") == (b"j42", True)
        for wrong in ({}, {"position": 1, "step": "double"}, {"step": "double", "occurrence": 2}, {"step": "x"}):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await ask(world, "ClientService", "ForkWorkflow", client.ForkRequest(namespace=NS, id="a", **wrong))
            assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT, wrong


async def test_a_run_is_paused_resumed_forked_cancelled_and_terminated(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        await ask(world, "ClientService", "StartWorkflow", starting("asked", b'j[["hi"],{}]', id="a"))
        await ask(world, "ClientService", "PauseWorkflow", client.PauseRequest(namespace=NS, id="a"))
        await ask(world, "ClientService", "ResumeWorkflow", client.ResumeRequest(namespace=NS, id="a"))
        fork = await ask(world, "ClientService", "ForkWorkflow", client.ForkRequest(namespace=NS, id="a", position=1))
        accepted = await ask(world, "ClientService", "CancelWorkflow", client.CancelRequest(namespace=NS, id="a"))
        assert accepted.accepted
        ended = await ask(world, "ClientService", "AwaitResult", client.AwaitResultRequest(namespace=NS, id="a"))
        assert ended.state == records.STATE_CANCELLED
        terminate = client.TerminateRequest(namespace=NS, id=fork.id, reason="enough")
        await ask(world, "ClientService", "TerminateWorkflow", terminate)
        ended = await ask(world, "ClientService", "AwaitResult", client.AwaitResultRequest(namespace=NS, id=fork.id))
        assert ended.cancel_reason == "terminated: enough"


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("GetWorkflowStatus", client.GetStatusRequest(namespace=NS, id="nobody"), grpc.StatusCode.NOT_FOUND),
        ("AwaitResult", client.AwaitResultRequest(namespace=NS, id="nobody"), grpc.StatusCode.NOT_FOUND),
        ("StartWorkflow", starting("", id="x"), grpc.StatusCode.INVALID_ARGUMENT),
        ("StartWorkflow", starting("a", b"not encoded"), grpc.StatusCode.INVALID_ARGUMENT),
        ("StartWorkflow", starting("a", delay_us=-1), grpc.StatusCode.INVALID_ARGUMENT),
        ("StartWorkflow", starting("a", debounce=True), grpc.StatusCode.INVALID_ARGUMENT),
        ("StartWorkflow", starting("a", b"j" + b"1" * 5_000_000), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("StartWorkflow", starting("a", b"j[1]"), grpc.StatusCode.INVALID_ARGUMENT),
        ("StartWorkflow", starting("a", b"j[[], {"), grpc.StatusCode.INVALID_ARGUMENT),
        ("StartWorkflow", starting("other", id="there"), grpc.StatusCode.ALREADY_EXISTS),
        (
            "SignalWorkflow",
            client.SignalRequest(namespace=NS, id="nobody", name="x"),
            grpc.StatusCode.NOT_FOUND,
        ),
        (
            "AwaitResult",
            client.AwaitResultRequest(namespace=NS, id="there", timeout_seconds=float("nan")),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        ("QueryWorkflow", client.QueryRequest(namespace=NS, id="there", name="q"), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_what_is_wrong_has_a_status_that_says_who_must_react(
    tmp_path: Path, method: str, request_: Any, code: grpc.StatusCode
) -> None:
    async with world_in(tmp_path) as world:
        await ask(world, "ClientService", "StartWorkflow", starting("doubled", id="there"))
        assert await code_of(ask(world, "ClientService", method, request_)) is code


async def test_operators_see_runs_queues_schedules_and_workers(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        for number in range(3):
            start = starting("asked", b'j[["hi"],{}]', id=f"r{number}", queue="q")
            await ask(world, "ClientService", "StartWorkflow", start)
        listing = world.call("AdminService", "ListWorkflows")(admin.ListRequest(namespace=NS, limit=2))
        assert [info.id async for info in listing] == ["r2", "r1"]
        queue = records.Queue(name="q", concurrency=1, rate_period_us=1_000_000, burst=1)
        await ask(world, "AdminService", "PutQueue", admin.PutQueueRequest(namespace=NS, queue=queue))
        (found,) = (await ask(world, "AdminService", "ListQueues", admin.ListQueuesRequest(namespace=NS))).queues
        assert (found.queue.name, found.queue.concurrency) == ("q", 1)
        deletion = admin.DeleteQueueRequest(namespace=NS, name="q")
        assert (await ask(world, "AdminService", "DeleteQueue", deletion)).existed
        arguments = base64.b64encode(b"j[[1],{}]").decode()
        spec = json.dumps({"workflow": "doubled", "arguments": arguments, "cron": ["0 2 * * *"]})
        put = admin.PutScheduleRequest(namespace=NS, id="nightly", spec=spec)
        assert (await ask(world, "AdminService", "PutSchedule", put)).next_us
        request = admin.TriggerScheduleRequest(namespace=NS, id="nightly")
        assert (await ask(world, "AdminService", "TriggerSchedule", request)).run_id.startswith("nightly@")
        pause = admin.PauseScheduleRequest(namespace=NS, id="nightly", is_paused=True)
        await ask(world, "AdminService", "PauseSchedule", pause)
        (row,) = (await ask(world, "AdminService", "ListSchedules", admin.ListSchedulesRequest(namespace=NS))).schedules
        assert row.is_paused
        workers = (await ask(world, "AdminService", "ListWorkers", admin.ListWorkersRequest(namespace=NS))).workers
        assert len(workers) == 2  # the server's own session is one
        metrics = await ask(world, "AdminService", "GetMetrics", admin.MetricsRequest(namespace=NS))
        assert metrics.active >= 3
        summary = await ask(world, "AdminService", "GetSummary", admin.SummaryRequest(namespace=NS))
        assert json.loads(summary.json)["workers"] == 1
        why = await ask(world, "AdminService", "WhyWorkflow", admin.WhyRequest(namespace=NS, id="r0"))
        assert why.text


async def test_finished_runs_are_deleted(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        await ask(world, "ClientService", "StartWorkflow", starting("doubled", b"j[[1],{}]", id="a"))
        await ask(world, "ClientService", "AwaitResult", client.AwaitResultRequest(namespace=NS, id="a"))
        request = admin.DeleteWorkflowsRequest(namespace=NS, ids=["a"])
        assert (await ask(world, "AdminService", "DeleteWorkflows", request)).deleted == 1


async def test_changes_are_told(tmp_path: Path) -> None:
    async with served_in(tmp_path) as world:
        watching = world.call("AdminService", "WatchChanges")(admin.WatchRequest(namespace=NS, id="a"))
        reading = asyncio.ensure_future(watching.read())
        # Who watches hears only what happens from then on, so the run is told something until it is heard.
        await ask(world, "ClientService", "StartWorkflow", starting("asked", b'j[["hi"],{}]', id="a"))
        while not reading.done():
            signal = client.SignalRequest(namespace=NS, id="a", name="another")
            await ask(world, "ClientService", "SignalWorkflow", signal)
            await asyncio.wait([reading], timeout=0.05)
        change = await reading
        assert change.info.id == "a"
        watching.cancel()


async def test_health_and_reflection_are_served(tmp_path: Path) -> None:
    async with (
        world_in(tmp_path) as world,
        grpc.aio.insecure_channel(world.addresses.grpc) as channel,
    ):
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = [service.name async for answer in call for service in answer.list_services_response.service]
        assert {"aeterna.v1.ClientService", "aeterna.v1.WorkerService", "aeterna.v1.AdminService"} <= set(names)
