"""The same key means the same request, for all that makes something: it is done once, and refused with another body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.server.world import world_in

KEY = {"Idempotency-Key": "the only one"}
START = {"workflow": "asked", "args": ["hi"]}
EVERY_HOUR = {"workflow": "asked", "args": ["hi"], "every_us": 3_600_000_000}


async def send(http: httpx.AsyncClient, path: str, body: Any) -> httpx.Response:
    return await http.post(f"/api/{path}", json=body, headers=KEY)


def refused(answer: httpx.Response) -> bool:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code == 409 and "this Idempotency-Key was used for" in answer.json()["detail"]


async def test_a_start_with_other_arguments_or_options_is_another_request(tmp_path: Path) -> None:
    others: list[dict[str, Any]] = [
        {**START, "args": ["ho"]},
        {**START, "version": "2"},
        {**START, "queue": "q"},
        {**START, "priority": 1},
        {**START, "share": "s"},
        {**START, "requires": ["gpu"]},
    ]
    async with world_in(tmp_path) as world:
        made = await send(world.http, "workflows", START)
        again = await send(world.http, "workflows", START)
        assert (made.status_code, again.status_code) == (201, 200)
        assert made.json()["run"]["id"] == again.json()["run"]["id"]
        for body in others:
            assert refused(await send(world.http, "workflows", body)), body
        # Of another workflow: the run's id is taken.
        assert (await send(world.http, "workflows", {"workflow": "doubled"})).status_code == 409
        assert len((await world.http.get("/api/workflows")).json()["runs"]) == 1


async def test_a_singleton_that_is_there_is_no_conflict_of_keys(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        first = await world.http.post("/api/workflows", json={**START, "singleton": "one"})
        found = await send(world.http, "workflows", {**START, "args": ["ho"], "singleton": "one"})
        assert (found.status_code, found.json()["run"]["id"]) == (200, first.json()["run"]["id"])


async def test_a_batch_is_started_once(tmp_path: Path) -> None:
    batch = {"starts": [START, {**START, "id": "mine"}, {"workflow": "doubled", "id": "mine"}]}
    async with world_in(tmp_path) as world:
        first, second = [(await send(world.http, "workflows/batch", batch)).json()["results"] for _ in range(2)]
        assert [each["is_new"] for each in first] == [True, True, None]
        assert [each["is_new"] for each in second] == [False, False, None]
        assert first[2]["error"] == "WorkflowIdConflictError"
        assert [each["id"] for each in first] == [each["id"] for each in second]
        other = (await send(world.http, "workflows/batch", {"starts": [{**START, "args": [1]}]})).json()["results"]
        assert "this Idempotency-Key was used for" in other[0]["detail"]


async def test_a_signal_with_start_is_done_once(tmp_path: Path) -> None:
    body = {"start": START, "signal": {"name": "name", "payload": "Ada"}}
    async with world_in(tmp_path) as world:
        first, second = [await send(world.http, "workflows/signal-with-start", body) for _ in range(2)]
        assert (first.json()["is_new"], first.json()["is_duplicate"]) == (True, False)
        assert (second.json()["is_new"], second.json()["is_duplicate"]) == (False, True)
        for other in ({**body, "signal": {"name": "name", "payload": "Bob"}}, {**body, "start": {**START, "args": []}}):
            assert refused(await send(world.http, "workflows/signal-with-start", other)), other
        async with world.app():
            done = await world.http.get(f"/api/workflows/{first.json()['run']['id']}/result")
            assert done.json()["result"] == "hi Ada"


async def test_another_signal_under_the_key_is_refused_before_and_after_it_is_read(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        await world.http.post("/api/workflows", json={**START, "id": "a"})
        signal = {"name": "other", "payload": 1}
        for _ in range(2):
            answers = [await send(world.http, "workflows/a/signal", signal) for _ in range(2)]
            assert answers[-1].json() == {"is_duplicate": True}
            assert refused(await send(world.http, "workflows/a/signal", {"name": "other", "payload": 2}))
            assert refused(await send(world.http, "workflows/a/signal", {"name": "another", "payload": 1}))
            async with world.app():
                await world.http.post("/api/workflows/a/signal", json={"name": "unread", "id": "x"})
                history: list[str] = []
                while history.count("SignalReceived") < 2:
                    events = (await world.http.get("/api/workflows/a/history")).json()["events"]
                    history = [event["event"] for event in events]
        # An id of one's own says by itself which signal is meant.
        assert (await world.http.post("/api/workflows/a/signal", json={"name": "b", "id": "x"})).json()["is_duplicate"]


async def test_a_fork_at_another_position_is_refused_also_once_the_fork_has_gone_on(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        http = world.http
        await http.post("/api/workflows", json={"workflow": "doubled", "args": [4], "id": "a"})
        async with world.app():
            await http.get("/api/workflows/a/result")
            forked = (await send(http, "workflows/a/fork", {"position": 2})).json()["run"]["id"]
            await http.get(f"/api/workflows/{forked}/result")
        again = await send(http, "workflows/a/fork", {"position": 2})
        assert (again.status_code, again.json()["run"]["id"]) == (201, forked)
        for position in (1, 3, 4):
            assert refused(await send(http, "workflows/a/fork", {"position": position})), position


async def test_a_schedule_is_triggered_once(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        assert (await world.http.put("/api/schedules/s", json=EVERY_HOUR)).status_code == 200
        runs = [(await world.http.post("/api/schedules/s/trigger", headers=KEY)).json()["run"] for _ in range(3)]
        assert len(set(runs)) == 1
        assert len((await world.http.get("/api/workflows")).json()["runs"]) == 1
