"""The pages about the server name every route, method, error and metric that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from aeterna.durable.wire.services import SERVICES
from aeterna.server.errors import CODES
from tests.docs.pages import read_page, table
from tests.server.world import served_in

HTTP = read_page("docs/reference/http-api.md")
GRPC = read_page("docs/reference/grpc.md")
METRICS = read_page("docs/reference/metrics.md")


async def test_every_route_is_in_the_reference(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        paths = (await served.http.get("/openapi.json")).json()["paths"]
    there = {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}
    named = {row[0].strip("`") for row in table(HTTP, "Routes")}
    assert named == there


def test_every_method_is_in_the_reference() -> None:
    for name, service in SERVICES.items():
        assert [row[0].strip("`") for row in table(GRPC, name)] == [method.name for method in service.methods]


def test_the_codes_of_errors_are_those_of_the_table() -> None:
    for name, status, code in ((cell.strip("`") for cell in row) for row in table(HTTP, "Errors")):
        assert (CODES[name].http, CODES[name].grpc.name) == (int(status), code)


async def test_every_metric_is_in_the_reference(tmp_path: Path) -> None:
    async with served_in(tmp_path) as served:
        text = (await served.http.get(f"http://{served.addresses.metrics}/metrics")).text
    there = dict(re.findall(r"^# TYPE (aeterna_\w+) (\w+)$", text, flags=re.MULTILINE))
    assert {row[0].strip("`"): row[1] for row in table(METRICS, "Metrics of the server")} == there
