"""The HTTP API: every verb, its errors, and what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from aeterna.durable.operations.await_result import await_result
from aeterna.durable.stores.remote.client import RemoteWorld
from aeterna.server.http.serving import listening
from tests.server.world import served_in, world_in


async def start(http: httpx.AsyncClient, workflow: str, *args: object, **more: object) -> str:
    answer = await http.post("/api/workflows", json={"workflow": workflow, "args": list(args), **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["run"]["id"]


async def detail(http: httpx.AsyncClient, run_id: str, wanted: str) -> None:
    async with asyncio.timeout(20):
        while (await http.get(f"/api/workflows/{run_id}")).json()["run"]["detail"] != wanted:
            await asyncio.sleep(0.01)


async def test_a_run_is_started_awaited_and_looked_at(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        run_id = await start(http, "doubled", 21)
        done = (await http.get(f"/api/workflows/{run_id}/result")).json()
        assert (done["result"], done["run"]["state"]) == (42, "COMPLETED")
        assert (await http.get(f"/api/workflows/{run_id}")).json() == done
        history = (await http.get(f"/api/workflows/{run_id}/history", params={"limit": 2})).json()
        assert [event["event"] for event in history["events"]] == ["RunCreated", "RunStarted"]
        more = (await http.get(f"/api/workflows/{run_id}/history", params={"start": history["next"]})).json()
        assert more["events"][0]["result"] == 42
        assert more["next"] is None
        why = (await http.get(f"/api/workflows/{run_id}/why")).json()["why"]
        assert "COMPLETED" in why["text"].upper()


async def test_the_result_of_a_run_that_goes_on_is_waited_for_in_vain(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        run_id = await start(served.http, "asked", "hello")
        answer = await served.http.get(f"/api/workflows/{run_id}/result", params={"timeout_s": 0.1})
        assert (answer.status_code, answer.headers["content-type"]) == (408, "application/problem+json")
        assert "goes on" in answer.json()["detail"]


async def test_signals_are_counted_once_and_reach_the_run(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        run_id = await start(http, "asked", "hello")
        signal = {"name": "another", "id": "once"}
        answers = [(await http.post(f"/api/workflows/{run_id}/signal", json=signal)).json() for _ in range(2)]
        assert [answer["is_duplicate"] for answer in answers] == [False, True]
        await http.post(f"/api/workflows/{run_id}/signal", json={"name": "name", "payload": "Ada"})
        assert (await http.get(f"/api/workflows/{run_id}/result")).json()["result"] == "hello Ada"
        late = await http.post(f"/api/workflows/{run_id}/signal", json={"name": "name"})
        assert (late.status_code, late.json()["error"]) == (409, "InvalidStateError")


async def test_a_run_is_paused_resumed_and_cancelled(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        run_id = await start(http, "asked", "hello")
        await detail(http, run_id, "waiting_signal")
        assert (await http.post(f"/api/workflows/{run_id}/pause", json={"reason": "later"})).json()[
            "done"
        ] == "requested"
        await detail(http, run_id, "paused")
        await http.post(f"/api/workflows/{run_id}/resume")
        await detail(http, run_id, "waiting_signal")
        assert (await http.post(f"/api/workflows/{run_id}/cancel", json={"reason": "enough"})).status_code == 200
        ended = (await http.get(f"/api/workflows/{run_id}/result")).json()
        assert (ended["run"]["state"], ended["reason"]) == ("CANCELLED", "enough")


async def test_a_run_is_terminated_and_forked(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        run_id = await start(http, "asked", "hello")
        await detail(http, run_id, "waiting_signal")
        await http.post(f"/api/workflows/{run_id}/terminate", json={"reason": "now"})
        assert (await http.get(f"/api/workflows/{run_id}")).json()["reason"] == "terminated: now"
        fork = await http.post(f"/api/workflows/{run_id}/fork", json={"position": 2, "id": "again"})
        assert (fork.status_code, fork.json()["run"]["id"]) == (201, "again")
        await http.post("/api/workflows/again/signal", json={"name": "name", "payload": "Bob"})
        assert (await http.get("/api/workflows/again/result")).json()["result"] == "hello Bob"


async def test_a_fork_waits_in_the_queue_of_the_first_one_and_begins_at_a_step(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        http = world.http
        await http.put("/api/queues/one", json={"concurrency": 1})
        wanted = {"workflow": "doubled", "args": [4], "id": "a", "queue": "one", "priority": 3, "share": "s"}
        await http.post("/api/workflows", json=wanted)
        async with world.app():
            await http.get("/api/workflows/a/result")
        forked = (await http.post("/api/workflows/a/fork", json={"position": 1})).json()["run"]
        original = (await http.get("/api/workflows/a")).json()["run"]
        assert {key: forked[key] for key in ("queue", "priority", "share", "requires")} == {
            key: original[key] for key in ("queue", "priority", "share", "requires")
        }
        assert (forked["queue"], forked["state"], forked["detail"]) == ("one", "PENDING", "queued")
        for wrong in ({}, {"position": 1, "step": "x"}, {"step": "nothing like it"}):
            assert (await http.post("/api/workflows/a/fork", json=wrong)).status_code in (400, 422), wrong


async def test_a_failure_is_told_with_its_class(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        run_id = await start(served.http, "failing")
        done = (await served.http.get(f"/api/workflows/{run_id}/result")).json()
        assert (done["run"]["state"], done["error"]["type"]) == ("FAILED", "ValueError")


async def test_the_id_of_a_child_has_slashes(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        run_id = await start(http, "parent", 4)
        await http.get(f"/api/workflows/{run_id}/result")
        child = next(run["id"] for run in (await http.get("/api/workflows")).json()["runs"] if run["parent"] == run_id)
        assert "/" in child
        found = await http.get(f"/api/workflows/{quote(child, safe='')}")
        assert found.json()["result"] == 8


async def test_the_same_start_twice_is_one_run(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        http = world.http
        body = {"workflow": "doubled", "args": [1]}
        headers = {"Idempotency-Key": "order 7"}
        first, second = [await http.post("/api/workflows", json=body, headers=headers) for _ in range(2)]
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["run"]["id"] == second.json()["run"]["id"]
        other = await http.post("/api/workflows", json={"workflow": "doubled", "args": [2]}, headers=headers)
        assert (other.status_code, other.json()["error"]) == (409, "WorkflowIdConflictError")
        given = [await http.post("/api/workflows", json={**body, "id": "mine"}) for _ in range(2)]
        assert [answer.status_code for answer in given] == [201, 200]
        conflict = await http.post("/api/workflows", json={"workflow": "asked", "id": "mine"})
        assert conflict.status_code == 409


async def test_runs_are_listed_page_by_page(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        http = world.http
        for number in range(5):
            await start(http, "doubled", number, id=f"r{number}")
        first = (await http.get("/api/workflows", params={"limit": 3, "type": "doubled", "state": "PENDING"})).json()
        assert [run["id"] for run in first["runs"]] == ["r4", "r3", "r2"]
        second = (await http.get("/api/workflows", params={"before": first["next"]})).json()
        assert ([run["id"] for run in second["runs"]], second["next"]) == (["r1", "r0"], None)
        assert (await http.get("/api/workflows", params={"state": "FAILED"})).json()["runs"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/workflows/nobody", None, 404),
        ("POST", "/api/workflows/nobody/signal", {"name": "x"}, 404),
        ("POST", "/api/workflows", {"workflow": ""}, 422),
        ("POST", "/api/workflows", {"workflow": "a", "argz": []}, 422),
        ("POST", "/api/workflows", {"workflow": "a", "debounce": True}, 400),
        ("POST", "/api/workflows/delete", {}, 400),
        ("GET", "/api/queues/lost", None, 404),
        ("POST", "/api/schedules/lost/trigger", None, 404),
        ("PUT", "/api/schedules/s", {"workflow": "w"}, 400),
        ("GET", "/api/nowhere", None, 404),
        ("GET", f"/api/workflows/{'x' * 600}", None, 400),
    ],
)
async def test_what_is_wrong_is_told_as_a_problem(
    tmp_path: Path, method: str, path: str, body: object, status: int
) -> None:
    async with world_in(tmp_path) as world:
        await start(world.http, "doubled", 1)
        answer = await world.http.request(method, path, json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        assert answer.json()["status"] == status


async def test_payloads_have_a_limit(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        answer = await world.http.post("/api/workflows", json={"workflow": "doubled", "args": ["x" * 5_000_000]})
        assert (answer.status_code, answer.json()["error"]) == (413, "PayloadTooLargeError")


async def test_finished_runs_are_deleted(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        run_id = await start(http, "doubled", 1)
        await http.get(f"/api/workflows/{run_id}/result")
        assert (await http.post("/api/workflows/delete", json={"ids": [run_id]})).json() == {"deleted": 1}
        assert (await http.get(f"/api/workflows/{run_id}")).status_code == 404
        assert (await http.post("/api/workflows/delete", json={"older_than_us": 10})).json() == {"deleted": 0}


async def test_queues_backlog_and_workers_are_shown(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        assert (await http.put("/api/queues/q", json={"concurrency": 1})).status_code == 200
        for _ in range(2):
            await start(http, "asked", "hello", queue="q")
        async with asyncio.timeout(20):
            while True:
                summary = (await http.get("/api/observability/summary")).json()
                if summary["queues"] and summary["queues"][0]["running"] == 1:
                    break
        assert (summary["queues"][0]["pending"], summary["pending"], summary["workers"]) == (1, 1, 1)
        assert summary["oldest_pending_us"] is not None
        workers = (await http.get("/api/workers")).json()["workers"]
        assert sum('"workflows"' in worker["about"] for worker in workers) == 1
        assert (await http.get("/api/namespaces")).json() == {"namespaces": ["orders"]}


async def test_changes_are_streamed_and_a_reader_that_comes_back_misses_none(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        url = "/api/changes"

        async def ended(headers: dict[str, str]) -> tuple[str, str]:
            number = kind = ""
            async with http.stream("GET", url, headers=headers) as stream:
                if not headers:
                    await start(http, "doubled", 1, id="first")
                async for line in stream.aiter_lines():
                    if line.startswith("id: "):
                        number = line[4:]
                    if line.startswith("event: "):
                        kind = line[7:]
                    if line.startswith("data: ") and kind == "ended":
                        found = json.loads(line[6:])
                        assert found["run"]["state"] == "COMPLETED"
                        return number, found["subject"]
            raise AssertionError("the stream ended")

        number, subject = await asyncio.wait_for(ended({}), 20)
        assert subject == "first"
        await start(http, "doubled", 1, id="second")
        await http.get("/api/workflows/second/result")
        assert (await asyncio.wait_for(ended({"Last-Event-ID": number}), 20))[1] == "second"


async def test_health_readiness_and_the_description_of_the_api(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        assert (await world.http.get("/health")).json()["status"] == "ok"
        assert (await world.http.get("/ready")).json() == {"ready": True}
        assert "/api/workflows/{run_id}/signal" in (await world.http.get("/openapi.json")).json()["paths"]
        assert (await world.http.get("/docs")).status_code == 200


async def test_small_answers_leave_at_once() -> None:
    """asyncio sets TCP_NODELAY on what such a socket accepts; without it an answer on a connection that is kept takes
    40 ms."""
    with contextlib.closing(listening("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


async def test_the_metrics_move(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        run_id = await start(served.http, "doubled", 1)
        await served.http.get(f"/api/workflows/{run_id}/result")
        async with httpx.AsyncClient() as http:
            text = (await http.get(f"http://{served.addresses.metrics}/metrics")).text
            assert (await http.get(f"http://{served.addresses.metrics}/")).status_code == 404
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert lines['aeterna_runs{namespace="orders",state="COMPLETED"}'] == "1.0"
        assert lines['aeterna_runs_created_total{namespace="orders"}'] == "1.0"
        assert lines['aeterna_runs_ended_total{namespace="orders",state="COMPLETED"}'] == "1.0"
        assert lines['aeterna_run_seconds_count{namespace="orders"}'] == "1.0"
        assert float(lines['aeterna_events_total{namespace="orders"}']) >= 4
        assert lines['aeterna_grpc_requests_total{method="Session"}'] == "1.0"
        assert lines['aeterna_http_requests_total{method="POST",status="201"}'] == "1.0"
        assert lines['aeterna_workers{namespace="orders"}'] == "1.0"


async def test_the_time_of_a_wait_for_a_run_that_is_stuck_ends_with_the_reason(tmp_path: Path) -> None:
    """Over HTTP, and to a program that only asks."""
    async with served_in(tmp_path) as served:
        run_id = await start(served.http, "doubled", 1, 2, 3)
        await detail(served.http, run_id, "stuck")
        waited = await served.http.get(f"/api/workflows/{run_id}/result", params={"timeout_s": 0})
        assert waited.status_code == 408
        assert "doubled() takes 2 positional" in waited.json()["detail"]
        world = RemoteWorld("orders", [served.addresses.grpc])
        try:
            with pytest.raises(TimeoutError, match=r"; it is stuck: .*doubled\(\) takes 2 positional"):
                await await_result(world, run_id, 0.01)
        finally:
            await world.close()
