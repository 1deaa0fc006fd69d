"""Requests that are sent twice, that come too early, and that nobody expected."""

from __future__ import annotations

from pathlib import Path

from aeterna.kernel import errors
from aeterna.kernel.errors import AeternaError, InvariantError, StoreError, UnavailableError
from aeterna.server.errors import codes_of
from tests.server.world import served_in, world_in

KEY = {"Idempotency-Key": "the only one"}


async def test_signals_and_forks_under_one_key_are_one(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        await http.post("/api/workflows", json={"workflow": "asked", "args": ["hi"], "id": "a"})
        signals = [await http.post("/api/workflows/a/signal", json={"name": "other"}, headers=KEY) for _ in range(2)]
        assert [signal.json()["is_duplicate"] for signal in signals] == [False, True]
        forks = [await http.post("/api/workflows/a/fork", json={"position": 1}, headers=KEY) for _ in range(2)]
        first, second = [fork.json()["run"]["id"] for fork in forks]
        assert first == second
        wrong = await http.post("/api/workflows/a/fork", json={"position": 1}, headers={"Idempotency-Key": "x" * 300})
        assert wrong.status_code == 422


async def test_a_run_that_waits_for_a_worker_is_cancelled_without_one(tmp_path: Path) -> None:
    """Nobody who has its code need ever come."""
    async with world_in(tmp_path) as world:
        await world.http.post("/api/workflows", json={"workflow": "doubled", "args": [1], "id": "a"})
        cancelled = await world.http.post("/api/workflows/a/cancel", json={"reason": "a mistake"})
        assert cancelled.json()["run"]["state"] == "CANCELLED"
        waited = await world.http.get("/api/workflows/a/result", params={"timeout_s": 5})
        assert waited.json()["reason"] == "a mistake"


async def test_a_run_that_waits_for_a_worker_can_be_paused_and_resumed(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        await world.http.post("/api/workflows", json={"workflow": "doubled", "args": [1], "id": "a"})
        paused = await world.http.post("/api/workflows/a/pause", json={"reason": "not today"})
        assert (paused.json()["run"]["state"], paused.json()["run"]["detail"]) == ("PENDING", "paused")
        async with world.app():
            await world.http.post("/api/workflows/a/resume")
            ended = await world.http.get("/api/workflows/a/result", params={"timeout_s": 20})
            assert ended.json()["result"] == 2


async def test_a_body_beyond_the_limit_is_refused_while_it_comes(tmp_path: Path) -> None:
    """With its length told before, and without."""

    async def pieces():
        for _ in range(300):
            yield b" " * 65_536

    async with world_in(tmp_path) as world:
        for content in (b" " * 17_000_000, pieces()):
            refused = await world.http.post("/api/workflows", content=content)
            assert (refused.status_code, refused.headers["content-type"]) == (413, "application/problem+json")
            assert "16,777,216 bytes" in refused.json()["detail"]


async def test_the_history_of_a_signal_shows_its_name_and_its_payload(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        http = served.http
        await http.post("/api/workflows", json={"workflow": "asked", "args": ["hi"], "id": "a"})
        await http.post("/api/workflows/a/signal", json={"name": "name", "payload": {"first": "Ada"}})
        await http.get("/api/workflows/a/result")
        history = (await http.get("/api/workflows/a/history")).json()["events"]
        assert [event["number"] for event in history] == list(range(len(history)))
        signal = next(event for event in history if event["event"] == "SignalReceived")
        assert (signal["name"], signal["payload"], signal["message"]) == ("name", {"first": "Ada"}, 1)


async def test_text_that_nothing_can_keep_is_refused(tmp_path: Path) -> None:
    """A lone surrogate, numbers that are none, a structure without an end: all are JSON to somebody."""
    async with world_in(tmp_path) as world:
        for text in (r'"\ud800"', "NaN", "1e999", "[" * 100_000, '"' + "\x00" + '"'):
            body = '{"workflow": "a", "args": [' + text + "]}"
            answer = await world.http.post("/api/workflows", content=body.encode())
            assert answer.status_code in (400, 422), (text[:20], answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        page = (await world.http.get("/docs")).text
        assert "https://" not in page
        assert "http://" not in page


def test_only_trouble_of_the_store_and_bugs_are_the_servers_failure() -> None:
    """One table says it for both transports: what the caller did is never told as the server's failure."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AeternaError)]
    failures = {kind for kind in kinds if codes_of(kind.__new__(kind)).http >= 500}
    assert failures == {kind for kind in kinds if issubclass(kind, StoreError | InvariantError | UnavailableError)} | {
        AeternaError
    }
    assert codes_of(TimeoutError()).http == 408
