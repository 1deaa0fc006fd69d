"""The stream of changes: what it tells, what it says of what it cannot tell, and that it ends with the server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from tests.server.world import served_in, world_in


async def events(
    http: httpx.AsyncClient, *, after: str = "", run_id: str = "", until: str, begun: asyncio.Event | None = None
) -> list[tuple[str, Any]]:
    """Kind and data of the events, up to the first one of kind ``until``; ``begun`` is set when the stream is there."""
    found: list[tuple[str, Any]] = []
    params = {"id": run_id, "namespace": "orders"}
    async with asyncio.timeout(20), http.stream("GET", "/api/changes", params=params, headers=last(after)) as stream:
        kind = ""
        async for line in stream.aiter_lines():
            if begun is not None:
                begun.set()
            if line.startswith("event: "):
                kind = line[7:]
            if line.startswith("data: "):
                found.append((kind, json.loads(line[6:])))
                if kind == until:
                    return found
    raise AssertionError(f"the stream ended after {found}")


def last(after: str) -> dict[str, str]:
    return {"Last-Event-ID": after} if after else {}


async def test_a_reader_with_an_id_of_another_life_is_told_to_look_anew(tmp_path: Path) -> None:
    """The numbers of a server that was there before mean nothing to this one."""
    async with served_in(tmp_path) as served:
        for after in ("999999-3", "1-99999999999999999999", "nonsense", "-"):
            assert [kind for kind, _ in await events(served.http, after=after, until="reset")] == ["reset"]


async def test_steps_signals_and_the_end_of_one_run_are_told(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        begun = asyncio.Event()
        reading = asyncio.ensure_future(events(served.http, run_id="mine", until="ended", begun=begun))
        await begun.wait()
        for run_id in ("other", "mine"):
            body = {"workflow": "asked", "args": ["hi"], "id": run_id}
            assert (await served.http.post("/api/workflows", json=body)).status_code == 201
            signal = {"name": "name", "payload": "Ada"}
            assert (await served.http.post(f"/api/workflows/{run_id}/signal", json=signal)).status_code == 200
            await served.http.get(f"/api/workflows/{run_id}/result")
        found = await reading
        assert {data["subject"] for _, data in found} == {"mine"}
        assert {"created", "changed", "ended"} <= {kind for kind, _ in found}
        assert found[-1][1]["run"]["state"] == "COMPLETED"


async def test_streams_end_when_the_server_stops() -> None:
    """A browser tab that looks on does not keep a server from stopping."""
    options = ServeOptions(grpc_port=0, http_port=0)
    lines: list[str] = []

    async def look_on(address: str) -> None:
        async with (
            httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as http,
            http.stream("GET", "/api/changes") as stream,
        ):
            async for line in stream.aiter_lines():
                lines.append(line)
                arrived.set()

    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serving(MemoryNamespaces(), options) as addresses:
        async with httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=30) as http:
            assert (await http.post("/api/workflows", json={"workflow": "w"})).status_code == 201
        looking = asyncio.ensure_future(look_on(addresses.http))
        await asyncio.wait_for(arrived.wait(), 10)
        began = loop.time()
    assert loop.time() - began < 3
    await asyncio.wait_for(looking, 5)
    assert lines[0].startswith("retry: ")


async def test_reading_a_namespace_that_is_not_there_makes_none(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        answer = await world.http.get("/api/workflows")
        assert (answer.status_code, answer.json()["error"]) == (404, "NamespaceNotFoundError")
        assert (await world.http.get("/api/namespaces")).json() == {"namespaces": []}
