"""The OpenAPI description says of every route who may ask it, what it answers, and which errors, with examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aeterna.durable.operations.summary import Stuck, Summary
from aeterna.durable.stores.contract import QueueRow, QueueState, RunRow, SessionRow
from aeterna.server.http import answers, standing
from aeterna.server.http.description import TAGS
from aeterna.server.verbs import OPEN_ROUTES, VERBS
from tests.server.world import world_in

VERB_OF = {route: verb for verb in VERBS.values() for route in verb.http}


async def description(folder: Path) -> Any:
    async with world_in(folder) as world:
        return (await world.http.get("/openapi.json")).json()


def operations(spec: Any) -> Iterator[tuple[str, Any]]:
    for path, verbs in spec["paths"].items():
        for verb, what in verbs.items():
            yield f"{verb.upper()} {path}", what


async def test_every_route_has_a_title_a_tag_a_role_and_an_answer(tmp_path: Path) -> None:
    spec = await description(tmp_path)
    ids = [what["operationId"] for _, what in operations(spec)]
    assert len(ids) == len(set(ids))
    for route, what in operations(spec):
        assert what["summary"], route
        assert what["tags"][0] in dict(TAGS), route
        assert len(what["description"]) > 10, route
        answer = next(answer for status, answer in what["responses"].items() if status.startswith("2"))
        assert next(iter(answer["content"].values()))["schema"], route
        if route not in OPEN_ROUTES:
            assert what["x-aeterna-role"] == VERB_OF[route].need.value


async def test_every_error_is_a_problem_with_an_example(tmp_path: Path) -> None:
    spec = await description(tmp_path)
    assert "Problem" in spec["components"]["schemas"]
    for route, what in operations(spec):
        errors = {status: answer for status, answer in what["responses"].items() if status >= "4"}
        if route in OPEN_ROUTES:
            continue
        assert {"400", "401", "403", "422", "500", "503"} <= errors.keys(), route
        for status, answer in errors.items():
            example = answer["content"]["application/problem+json"]["example"]
            assert (str(example["status"]), bool(example["detail"])) == (status, True), route


@pytest.mark.parametrize(
    ("model", "record", "more", "less"),
    [
        (answers.Run, RunRow, {"namespace"}, {"key"}),
        (standing.QueueRow, QueueRow, set(), set()),
        (standing.QueueStanding, QueueState, set(), set()),
        (standing.StuckRun, Stuck, set(), set()),
        (
            standing.Summary,
            Summary,
            {"namespace", "oldest_pending_s", "queue_backlog", "stuck_after_s", "stuck_run_ids"},
            set(),
        ),
    ],
)
def test_no_field_of_a_record_is_left_out_of_its_answer(
    model: Any, record: Any, more: set[str], less: set[str]
) -> None:
    """A field that a model does not name would never be sent."""
    fields = {field.name for field in msgspec.structs.fields(record)}
    assert set(model.model_fields) == (fields - less) | more


def test_a_session_is_answered_whole() -> None:
    fields = {field.name for field in msgspec.structs.fields(SessionRow)}
    assert fields <= set(standing.Session.model_fields)
