"""The control API's routes: documents, orders, problems, long polls."""

from __future__ import annotations

import asyncio
import os

import pytest

from aeterna.supervisor.control.contract import Answer, Outcome, ReloadResult, Verb, result_of_failure
from aeterna.supervisor.core.vocabulary import State
from tests.supervisor.control_world import World, den, reload_report, service_document


async def test_the_status_has_what_older_clients_read_and_every_service():
    async with den() as here:
        status, body = await here.get("/v1/status")
    assert status == 200
    assert (body["fsm_state"], body["current_pid"], body["old_pid"], body["uptime"]) == ("RUNNING", 4711, None, 12.5)
    assert "last_handover" in body
    assert body["services"] == [service_document()]
    assert body["event_id"] == here.world.events.last_id


async def test_services_are_listed_and_shown():
    async with den() as here:
        assert [each["name"] for each in (await here.get("/v1/services"))[1]["services"]] == ["web"]
        assert (await here.get("/v1/services/web"))[1]["generation"] == 3


@pytest.mark.parametrize(
    ("path", "status", "hint"),
    [
        ("/v1/services/webb", 404, "there is no service 'webb'; did you mean 'web'?"),
        ("/v1/services/database", 404, "there is no service 'database'; there is web"),
        ("/v1/reloads/web-9", 404, "there is no reload 'web-9' (any more)"),
        ("/v1/statsu", 404, "there is nothing at /v1/statsu; did you mean '/v1/status'?"),
        ("/v1/services/web/logs?lines=many", 400, "lines is a whole number from 0 to 10000, not 'many'"),
        ("/v1/status?wait=-1", 400, "wait is a whole number"),
    ],
)
async def test_what_is_not_there_is_a_problem_that_names_the_nearest(path, status, hint):
    async with den() as here:
        code, headers, body = await here.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert code == status
    assert headers["content-type"] == "application/problem+json"
    assert hint in body


async def test_a_wrong_method_names_the_right_ones():
    async with den() as here:
        status, headers, _ = await here.ask("DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        status, headers, _ = await here.ask("GET /v1/stop HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, headers["allow"]) == (405, "POST")


async def test_live_and_ready_say_it_with_the_status_code():
    async with den() as here:
        assert (await here.get("/live"))[0] == (await here.get("/ready"))[0] == 200
        here.world.change(is_ready=False)
        here.world.is_alive = False
        assert await here.get("/ready") == (503, {"ready": False, "services": {"web": False}})
        assert (await here.get("/live"))[0] == 503


async def test_an_order_is_handed_on_with_who_gave_it_and_leaves_an_audit_line():
    world = World(answers=[Outcome(Answer.ACCEPTED, "begun", {"id": "web-1"})])
    async with den(world) as here:
        status, body = await here.post("/v1/services/web/reload", {"reason": "release 7", "force": True})
    assert (status, body["id"], body["verb"], body["detail"]) == (202, "web-1", "reload", "begun")
    [order] = world.orders
    assert (order.verb, order.service, order.reason, order.is_forced) == (Verb.RELOAD, "web", "release 7", True)
    assert (order.caller.uid, order.caller.pid) == (os.getuid(), os.getpid())
    assert str(world.audits[0]) == f"uid={os.getuid()} pid={os.getpid()} reload web: accepted (begun)"


@pytest.mark.parametrize(
    ("answer", "status"), [(Answer.CONFLICT, 409), (Answer.BAD, 400), (Answer.INVALID, 422), (Answer.UNAVAILABLE, 503)]
)
async def test_a_refused_order_is_a_problem_and_audited_too(answer, status):
    world = World(answers=[Outcome(answer, "not now", {"id": "web-1"})])
    async with den(world) as here:
        code, body = await here.post("/v1/services/web/rollback")
    assert (code, body["status"], body["detail"], body["id"]) == (status, status, "not now", "web-1")
    assert world.audits[0].answer is answer


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb is not Verb.CANARY])
async def test_every_operation_has_a_route(verb):
    async with den() as here:
        assert (await here.post(f"/v1/services/web/{verb}"))[0] == 202
    assert here.world.orders[0].verb is verb


async def test_the_one_service_is_reloaded_without_its_name_and_all_is_stopped():
    async with den() as here:
        assert (await here.post("/v1/reload", {"force": False}))[0] == 202
        assert (await here.post("/v1/stop"))[1]["service"] is None
        here.world.services["worker"] = service_document(name="worker")
        status, body = await here.post("/v1/reload")
    assert (status, "2 services (web, worker)" in body["detail"]) == (400, True)
    assert [(order.verb, order.service) for order in here.world.orders] == [(Verb.RELOAD, "web"), (Verb.STOP, None)]


@pytest.mark.parametrize(
    ("verb", "body", "message"),
    [
        ("canary", "{}", "weight is needed: 0 to 100"),
        ("canary", '{"weight": 101}', "weight is needed: 0 to 100"),
        ("canary", '{"weight": true}', "weight is a whole number, not true"),
        ("reload", '{"forse": true}', "reload has no field 'forse'; did you mean 'force'?"),
        ("reload", '{"strategy": "canari"}', "there is no strategy 'canari'; did you mean 'canary'?"),
        ("reload", '{"reason": "a\\nb"}', "reason is one line"),
        ("reload", "[]", "the body must be a JSON object"),
        ("reload", "{", "the body is no JSON"),
        ("reload", "[" * 5000, "the body is no JSON"),
        ("stop", '{"force": true}', "stop has no field 'force'; there is reason"),
    ],
)
async def test_a_body_that_cannot_be_understood_says_why_and_nothing_is_done(verb, body, message):
    async with den() as here:
        request = f"POST /v1/services/web/{verb} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        status, _, answer = await here.ask(request)
    assert (status, message in answer) == (400, True), answer
    assert not here.world.orders


async def test_an_unknown_operation_is_not_found():
    async with den() as here:
        status, body = await here.post("/v1/services/web/relaod")
    assert (status, "did you mean 'reload'?" in body["detail"]) == (404, True)


async def test_a_long_poll_returns_at_the_verdict():
    world = World(reports={"web-1": reload_report()})
    async with den(world) as here:
        asked = asyncio.ensure_future(here.get("/v1/reloads/web-1?wait=30"))
        await asyncio.wait([asked], timeout=0.05)
        assert not asked.done()
        world.move("web-1", "WARMING")
        await asyncio.wait([asked], timeout=0.05)
        assert not asked.done()
        world.move("web-1", result="succeeded")
        status, body = await asked
    assert (status, body["result"], len(body["phases"])) == (200, "succeeded", 2)


async def test_a_long_poll_after_an_event_returns_at_the_next_one_that_is_meant():
    world = World(reports={"web-1": reload_report(), "web-0": reload_report("web-0", result="succeeded")})
    async with den(world) as here:
        _, first = await here.get("/v1/reloads/web-1")
        asked = asyncio.ensure_future(here.get(f"/v1/reloads/web-1?wait=30&after={first['event_id']}"))
        await asyncio.wait([asked], timeout=0.05)
        world.events.publish("service.state", {"service": "other"})
        await asyncio.wait([asked], timeout=0.05)
        assert not asked.done()
        world.move("web-1", "WARMING")
        body = (await asked)[1]
        assert (body["result"], body["phases"][-1]["phase"]) == (None, "WARMING")
        assert (await here.get(f"/v1/reloads/web-0?wait=30&after={body['event_id']}"))[1]["result"] == "succeeded"


async def test_a_long_poll_misses_nothing_that_came_between():
    async with den() as here:
        _, seen = await here.get("/v1/services/web")
        here.world.change(state="BACKOFF")
        body = (await here.get(f"/v1/services/web?wait=30&after={seen['event_id']}"))[1]
        assert body["state"] == "BACKOFF"
        # A number from another life of the supervisor says nothing: the answer comes at once.
        assert (await here.get(f"/v1/services/web?wait=30&after={body['event_id'] + 1000}"))[0] == 200


async def test_a_long_poll_that_nothing_happens_to_ends_with_the_time():
    world = World(reports={"web-1": reload_report()})
    async with den(world) as here:
        assert (await here.get("/v1/reloads/web-1?wait=1"))[1]["result"] is None


async def test_ready_can_be_waited_for():
    async with den() as here:
        here.world.change(is_ready=False)
        asked = asyncio.ensure_future(here.get("/ready?wait=30"))
        await asyncio.wait([asked], timeout=0.05)
        here.world.change(is_ready=True)
        assert (await asked)[0] == 200


async def test_past_reloads_are_listed():
    world = World(reports={"web-1": reload_report(result="succeeded"), "web-2": reload_report("web-2")})
    async with den(world) as here:
        assert [each["id"] for each in (await here.get("/v1/reloads"))[1]["reloads"]] == ["web-1", "web-2"]


def test_where_a_reload_failed_makes_its_result():
    assert result_of_failure(State.PREFLIGHT) is ReloadResult.PREFLIGHT_FAILED
    assert result_of_failure(State.WARMING) is ReloadResult.START_FAILED
    assert result_of_failure(State.SNAPSHOT) is ReloadResult.HANDOFF_FAILED
    assert result_of_failure(State.SOAK) is ReloadResult.ROLLED_BACK
