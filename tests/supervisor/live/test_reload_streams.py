"""Event streams, WebSockets and slow uploads that are under way when their generation is told to leave."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bench.supervisor.records import Kind, Record
from bench.supervisor.streams import Pace
from tests.supervisor.live.backend import WAIT_S, free_port, request
from tests.supervisor.live.under_load import (
    GUNICORN,
    RUN_ASGI,
    UVICORN,
    WRAPPED_APP,
    Clients,
    Site,
    count,
    keep,
    loaded,
    reload_often,
    serving,
)

RELOADS = count(2, 20)
SERVICE_RESTART = 1012
STREAMS = {"sse_clients": 4, "ws_clients": 4, "upload_clients": 4, "pace": Pace(pieces=30, pause_ms=50)}
SITES = {
    "run-asgi": Site(RUN_ASGI),
    "uvicorn with the middleware": Site(UVICORN, WRAPPED_APP),
    "gunicorn with the middleware": Site(GUNICORN, WRAPPED_APP),
    "uvicorn": Site(UVICORN, is_ours=False),
}


@pytest.mark.parametrize("name", SITES)
def test_what_is_under_way_comes_to_a_proper_end(tmp_path: Path, name: str) -> None:
    """Streams and uploads are finished, WebSockets are closed with the code for a restart."""
    site, port = SITES[name], free_port()
    with serving(tmp_path, site, port) as backend, loaded(tmp_path, port, **STREAMS) as clients:
        reload_often(backend, clients, RELOADS)
    told = f"{clients.told()}\n{backend.log()[-2000:]}"
    keep(f"streams under way: {name}", {"reloads": RELOADS, **tally(clients)})
    assert not clients.failures(), told
    for mark_s in clients.marks_s:
        caught = {
            kind: [each for each in clients.records if each.kind is kind and each.sent_s < mark_s < each.ended_s]
            for kind in (Kind.SSE, Kind.WEBSOCKET, Kind.UPLOAD)
        }
        assert all(caught.values()), "some of each kind were under way"
        if site.is_ours:
            assert {each.status for each in caught[Kind.WEBSOCKET]} <= {SERVICE_RESTART, 1000}
    assert SERVICE_RESTART in {each.status for each in clients.records}, told


def tally(clients: Clients) -> dict[str, int]:
    """How each kind ended."""
    kinds = (Kind.SSE, Kind.WEBSOCKET, Kind.UPLOAD)
    ended = {str(kind): sum(each.kind is kind for each in clients.records) for kind in kinds}
    return {
        **ended,
        "closed with 1012": sum(is_told(each) for each in clients.records),
        "failed": len(clients.failures()),
    }


def is_told(record: Record) -> bool:
    return record.kind is Kind.WEBSOCKET and record.status == SERVICE_RESTART


def test_a_client_that_has_just_connected_may_still_ask(tmp_path: Path) -> None:
    """A server that knows of no handover is not told to leave before those who wait for its answer have asked."""
    port = free_port()
    drain = {"timeout": "10s", "lame_duck": "3s"}
    site = Site(UVICORN, is_ours=False, orchestration={"drain": drain})
    with serving(tmp_path, site, port) as backend:
        old = backend.service()["pid"]
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as client:
            assert backend.reload()["result"] == "succeeded"
            status, body = request(client, "GET", "/")
        assert (status, body["pid"]) == (200, old)
        assert backend.settle()["pid"] != old
