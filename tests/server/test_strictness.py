"""Requests that would be half understood are refused, with what would be right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from aeterna.durable.stores.sqlite.store import SqliteNamespaces
from aeterna.kernel.errors import ConfigurationError
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from aeterna.server.settings import settle
from tests.server.world import world_in


async def test_names_that_could_not_be_reached_are_refused(tmp_path: Path) -> None:
    """An app cannot have such a namespace, and every HTTP client takes such an id for a folder."""
    async with world_in(tmp_path) as world:
        refused = await world.http.post("/api/workflows", params={"namespace": "bad/ns"}, json={"workflow": "w"})
        assert (refused.status_code, refused.json()["error"]) == (400, "UsageError")
        assert "letters, digits" in refused.json()["detail"]
        for run_id in (".", ".."):
            refused = await world.http.post("/api/workflows", json={"workflow": "w", "id": run_id})
            assert refused.status_code == 400
            assert "choose another id" in refused.json()["detail"]


async def test_a_namespace_that_has_a_name_of_old_is_still_served(tmp_path: Path) -> None:
    """The rule is for new ones: a server must not fail to start because of what it took before."""
    store = SqliteNamespaces(tmp_path / "server.db")
    await store.open()
    await store.store("of old/").open()
    await store.close()
    async with (
        serving(SqliteNamespaces(tmp_path / "server.db"), ServeOptions(grpc_port=0, http_port=0)) as addresses,
        httpx.AsyncClient(base_url=f"http://{addresses.http}", timeout=30) as http,
    ):
        assert (await http.get("/api/workflows", params={"namespace": "of old/"})).is_success


async def test_a_query_parameter_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        await world.http.post("/api/workflows", json={"workflow": "w"})
        refused = await world.http.get("/api/workflows", params={"status": "FAILED"})
        assert (refused.status_code, refused.json()["error"]) == (400, "UsageError")
        assert "'status'" in refused.json()["detail"]
        assert "'state'" in refused.json()["detail"]


async def test_states_are_taken_in_any_case(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        await world.http.post("/api/workflows", json={"workflow": "w", "id": "a"})
        listed = await world.http.get("/api/workflows", params={"state": ["pending", "Running"]})
        assert [run["id"] for run in listed.json()["runs"]] == ["a"]


async def test_a_body_that_is_not_called_json_is_told_how_to_be(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        refused = await world.http.post("/api/workflows", content=b'{"workflow": "w"}', headers=headers)
        assert refused.status_code == 422
        assert "Content-Type: application/json" in refused.json()["detail"]


async def test_a_body_without_a_length_that_is_too_large_is_called_that(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 65_536

    async with world_in(tmp_path) as world:
        refused = await world.http.post("/api/workflows", content=pieces())
        assert (refused.status_code, refused.json()["error"]) == (413, "PayloadTooLargeError")


def test_memory_only_and_a_database_contradict_each_other() -> None:
    with pytest.raises(ConfigurationError, match="leave out one"):
        settle({"persistence": "memory", "db": "postgresql://ada:secret@localhost/a"})
