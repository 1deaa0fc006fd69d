"""Starting many runs at once, through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from aeterna.durable.core import codec
from aeterna.durable.wire.generated import client_pb2 as pb
from aeterna.durable.wire.services import CHANNEL_OPTIONS, Caller


def start_runs(server: str, namespace: str, workflow: str, ids: Sequence[str], *arguments: object) -> None:
    """Start a run of each id with these arguments."""

    async def start() -> None:
        async with grpc.aio.insecure_channel(server, CHANNEL_OPTIONS) as channel:
            encoded = codec.encode([list(arguments), {}], "arguments", 1_000_000)
            starts = [pb.StartWorkflowRequest(workflow=workflow, arguments=encoded, id=run_id) for run_id in ids]
            request = pb.BatchStartRequest(namespace=namespace, starts=starts)
            answer = await Caller(channel)("ClientService", "BatchStart")(request)
            failed = [each.error for each in answer.results if not each.HasField("started")]
            assert not failed, failed

    asyncio.run(start())
