"""Queues, schedules and starts at a running server, asked for over gRPC or over HTTP: the same words for both."""

from __future__ import annotations

import base64
import json
from typing import Any

from aeterna.durable.wire.generated import admin_pb2, client_pb2, records_pb2
from tests.server.world import World

NS = "orders"


class Http:
    """Over HTTP."""

    def __init__(self, world: World) -> None:
        self._http = world.http

    async def put_queue(self, name: str, **limits: int) -> None:
        await self._do("PUT", f"queues/{name}", limits)

    async def pause_queue(self, name: str, *, is_paused: bool) -> None:
        await self._do("POST", f"queues/{name}/{'pause' if is_paused else 'resume'}")

    async def queue(self, name: str) -> tuple[int, int]:
        found = await self._do("GET", f"queues/{name}")
        return found["pending"], found["running"]

    async def start(self, workflow: str, run_id: str, *args: Any, **options: Any) -> str:
        body = {"workflow": workflow, "id": run_id, "args": list(args), **options}
        return str((await self._do("POST", "workflows", body))["run"]["id"])

    async def put_schedule(self, schedule: str, workflow: str, *args: Any, **spec: Any) -> None:
        await self._do("PUT", f"schedules/{schedule}", {"workflow": workflow, "args": list(args), **spec})

    async def pause_schedule(self, schedule: str, *, is_paused: bool) -> None:
        await self._do("POST", f"schedules/{schedule}/{'pause' if is_paused else 'resume'}")

    async def trigger(self, schedule: str) -> str:
        return str((await self._do("POST", f"schedules/{schedule}/trigger"))["run"])

    async def backfill(self, schedule: str, start_us: int, end_us: int) -> None:
        await self._do("POST", f"schedules/{schedule}/backfill", {"start_us": start_us, "end_us": end_us})

    async def _do(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, f"/api/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()


class Grpc:
    """Over gRPC."""

    def __init__(self, world: World) -> None:
        self._call = world.call
        self._limits: dict[str, dict[str, int]] = {}

    async def put_queue(self, name: str, **limits: int) -> None:
        self._limits[name] = limits
        await self._admin("PutQueue", admin_pb2.PutQueueRequest(namespace=NS, queue=_queue(name, **limits)))

    async def pause_queue(self, name: str, *, is_paused: bool) -> None:
        queue = _queue(name, is_paused=is_paused, **self._limits[name])
        await self._admin("PutQueue", admin_pb2.PutQueueRequest(namespace=NS, queue=queue))

    async def queue(self, name: str) -> tuple[int, int]:
        found = (await self._admin("ListQueues", admin_pb2.ListQueuesRequest(namespace=NS))).queues
        return next((each.pending, each.running) for each in found if each.queue.name == name)

    async def start(self, workflow: str, run_id: str, *args: Any, **options: Any) -> str:
        arguments = b"j" + json.dumps([args, {}]).encode()
        request = client_pb2.StartWorkflowRequest(
            namespace=NS, workflow=workflow, id=run_id, arguments=arguments, **options
        )
        return str((await self._call("ClientService", "StartWorkflow")(request, timeout=20)).id)

    async def put_schedule(self, schedule: str, workflow: str, *args: Any, **spec: Any) -> None:
        arguments = base64.b64encode(b"j" + json.dumps([args, {}]).encode()).decode()
        text = json.dumps({"workflow": workflow, "arguments": arguments, **spec})
        await self._admin("PutSchedule", admin_pb2.PutScheduleRequest(namespace=NS, id=schedule, spec=text))

    async def pause_schedule(self, schedule: str, *, is_paused: bool) -> None:
        request = admin_pb2.PauseScheduleRequest(namespace=NS, id=schedule, is_paused=is_paused)
        await self._admin("PauseSchedule", request)

    async def trigger(self, schedule: str) -> str:
        request = admin_pb2.TriggerScheduleRequest(namespace=NS, id=schedule)
        return str((await self._admin("TriggerSchedule", request)).run_id)

    async def backfill(self, schedule: str, start_us: int, end_us: int) -> None:
        request = admin_pb2.BackfillScheduleRequest(namespace=NS, id=schedule, start_us=start_us, end_us=end_us)
        await self._admin("BackfillSchedule", request)

    async def _admin(self, method: str, request: Any) -> Any:
        return await self._call("AdminService", method)(request, timeout=20)


def _queue(name: str, **fields: Any) -> records_pb2.Queue:
    return records_pb2.Queue(name=name, **({"rate_period_us": 1_000_000, "burst": 1} | fields))
