"""Whoever may only read sees nothing that user code or a user put in, by whichever route or method."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc

from aeterna import App, RetryPolicy
from aeterna.durable.wire.generated import admin_pb2, client_pb2
from aeterna.durable.wire.services import CHANNEL_OPTIONS, SERVICES, Caller
from aeterna.server.auth import Role
from aeterna.server.verbs import VERBS
from tests.server.test_tokens import Place, guarded_place
from tests.server.test_verbs import request_of

IDS = ("done", "failed", "retrying", "waiting", "cancelled")
HOUR = timedelta(hours=1)
ONE_MORE_LATER = RetryPolicy(maximum_attempts=2, initial_interval=HOUR, maximum_interval=HOUR)
HALF_A_YEAR_US = 180 * 86_400_000_000


async def confide(place: Place) -> App:
    """A program whose every part is a secret: arguments, results, signals, errors, reasons, heartbeats, schedules."""
    app = App("orders", server=place.addresses.grpc, token=place.tokens["worker"])

    @app.step(
        retry=RetryPolicy(maximum_attempts=2, initial_interval=timedelta(hours=1), maximum_interval=timedelta(hours=1))
    )
    async def fragile(what: str) -> str:
        raise ValueError(f"secret-error {what}")

    @app.workflow
    async def confide(ctx, what: str) -> str:
        if what == "secret-retrying":
            return await fragile(what)
        heard = await ctx.wait_signal("word")
        if what == "secret-failed":
            raise ValueError(f"secret-error {heard}")
        return f"secret-result {heard}"

    await app.__aenter__()
    return app


async def live(place: Place) -> None:
    """Runs in every condition, and a schedule."""
    worker, admin = place.tokens["worker"], place.tokens["admin"]
    for run_id in IDS:
        body = {"workflow": "confide", "args": [f"secret-{run_id}"], "id": run_id}
        assert (await place.ask("POST", "/workflows", worker, json=body)).status_code == 201
    for run_id in ("done", "failed", "waiting"):
        name = "word" if run_id != "waiting" else "other"
        body = {"name": name, "payload": "secret-signal"}
        await place.ask("POST", f"/workflows/{run_id}/signal", worker, json=body)
    await place.ask("POST", "/workflows/cancelled/cancel", worker, json={"reason": "secret-reason"})
    await place.ask("POST", "/workflows/waiting/pause", worker, json={"reason": "secret-reason"})
    schedule = {"workflow": "confide", "args": ["secret-schedule"], "every_us": HALF_A_YEAR_US, "note": "secret-note"}
    assert (await place.ask("PUT", "/schedules/s", admin, json=schedule)).status_code == 200
    for run_id in ("done", "failed", "cancelled"):
        answer = await place.ask("GET", f"/workflows/{run_id}/result", worker)
        assert answer.status_code == 200, answer.text
    async with asyncio.timeout(30):
        while "secret-error" not in (await place.ask("GET", "/workflows/retrying/why", worker)).text:
            pass


async def read_over_http(place: Place, token: str) -> dict[str, str]:
    """The answer of every route that takes no more than READ."""
    seen = {}
    for verb in VERBS.values():
        for route in verb.http if verb.need is Role.READ_ONLY else ():
            path = route.removeprefix("GET /api")
            for run_id in IDS if "{run_id}" in path else ("",):
                shown = path.replace("{run_id}", run_id).replace("{name}", "q").replace("{schedule_id}", "s")
                params = {"limit_s": 0.2} if path == "/changes" else {}
                answer = await place.ask("GET", shown, token, params=params)
                assert answer.status_code == 200, (shown, answer.text)
                seen[shown] = answer.text
    return seen


async def read_over_grpc(place: Place, token: str) -> dict[str, str]:
    """The answer of every method that takes no more than READ."""
    seen = {}
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(place.addresses.grpc, options=CHANNEL_OPTIONS) as channel:
        for name in (name for verb in VERBS.values() if verb.need is Role.READ_ONLY for name in verb.grpc):
            service, _, short = name.partition(".")
            method = SERVICES[service].methods_by_name[short]
            if short == "WatchChanges":
                # It tells rows only, which ListWorkflows and GetWorkflowStatus show, too.
                continue
            has_id = short in ("GetWorkflowStatus", "GetHistory", "WhyWorkflow")
            for run_id in IDS if has_id else ("",):
                request = request_of(method, **({"id": run_id} if has_id else {}))
                call = Caller(channel)(service, short)(request, metadata=metadata, timeout=20)
                answer = [each async for each in call] if method.server_streaming else await call
                seen[f"{short} {run_id}"] = str(answer)
    return seen


async def test_a_reader_sees_no_payload_by_any_route_or_method() -> None:
    async with guarded_place() as place:
        app = await confide(place)
        try:
            await live(place)
            reader, client = place.tokens["read-only"], place.tokens["client"]
            for read in (read_over_http, read_over_grpc):
                hidden, shown = await read(place, reader), await read(place, client)
                assert hidden.keys() == shown.keys()
                assert [name for name, text in hidden.items() if "secret" in text] == []
                # The same answers do show them to those who may see them, so that the search would find them.
                assert len([name for name, text in shown.items() if "secret" in text]) >= 8, shown
        finally:
            await app.__aexit__(None, None, None)


async def test_watching_over_grpc_shows_a_reader_rows_only() -> None:
    async with guarded_place() as place:
        metadata = (("authorization", f"Bearer {place.tokens['read-only']}"),)
        async with grpc.aio.insecure_channel(place.addresses.grpc, options=CHANNEL_OPTIONS) as channel:
            request = admin_pb2.WatchRequest(namespace="orders")
            stream = Caller(channel)("AdminService", "WatchChanges")(request, metadata=metadata, timeout=20)
            reading = asyncio.ensure_future(stream.read())
            for number in range(1_000):
                body = {"workflow": "w", "args": ["secret"], "id": f"r{number}"}
                await place.ask("POST", "/workflows", place.tokens["client"], json=body)
                cancel = client_pb2.CancelRequest(namespace="orders", id=f"r{number}", reason="secret")
                await place.call("ClientService", "CancelWorkflow", cancel, place.tokens["client"])
                if reading.done():
                    break
            change = await reading
            assert change.info.id.startswith("r")
            assert "secret" not in str(change)
            stream.cancel()
