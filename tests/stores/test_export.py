"""The export: lines that stand for themselves, all or the chosen runs, in bounded memory."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import Payload
from aeterna.durable.operations.export import Export, payload_record
from aeterna.durable.stores.contract import Append
from aeterna.durable.stores.ledger import Wanted
from aeterna.durable.stores.sqlite import SqliteStore
from tests.stores.kept import Kept
from tests.stores.samples import add_run

NOW_US = 1_767_225_600_000_000


@pytest.fixture(params=["file", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "file":
        return Kept.file(tmp_path / "store.db")
    return Kept.postgres(request.getfixturevalue("postgres_url"))


async def export(kept: Kept, wanted: Wanted | None = None) -> list[dict[str, Any]]:
    async with kept.upkeep.read() as ledger:
        return [json.loads(line) async for line in Export(ledger, wanted or Wanted()).lines(NOW_US)]


async def test_every_run_is_followed_by_its_history(kept: Kept) -> None:
    await kept.live()
    head, *lines, end = await export(kept)
    assert (head["kind"], head["format"], head["at"]) == ("export", 1, "2026-01-01T00:00:00Z")
    runs = {line["run"]: line for line in lines if line["kind"] == "run"}
    assert {run_id: line["state"] for run_id, line in runs.items()} == {
        "sum": "COMPLETED",
        "raw": "COMPLETED",
        "broken": "FAILED",
        "long": "RUNNING",
        "told": "COMPLETED",
    }
    assert {line["app"] for line in lines} == {"shop"}
    current, number = "", 0
    for line in lines:
        if line["kind"] == "run":
            current, number = line["run"], 0
        else:
            assert (line["kind"], line["run"], line["number"]) == ("event", current, number)
            number += 1
    assert end == {"kind": "end", "runs": 5, "events": len(lines) - 5, "damaged": 0}


async def test_values_are_json_where_they_were_recorded_so(kept: Kept) -> None:
    await kept.live()
    events = {(line["run"], line["event"]): line for line in await export(kept) if line["kind"] == "event"}
    assert events["sum", "RunCreated"]["arguments"] == {"json": [[[1, 2, 3]], {}]}
    assert events["sum", "RunCompleted"]["result"] == {"json": {"total": 6}}
    assert base64.b64decode(events["raw", "RunCompleted"]["result"]["bytes"]) == b"\x00abc"
    error = events["broken", "RunFailed"]["error"]
    assert (error["message"], error["arguments"]) == ("no stock", {"json": ["no stock"]})


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(states=("COMPLETED",)), {"sum", "raw", "told"}),
        (Wanted(states=("COMPLETED", "FAILED"), workflow="fails"), {"broken"}),
        (Wanted(run_ids=("long", "raw", "none")), {"long", "raw"}),
        (Wanted(namespace="shop", workflow="waits"), {"long"}),
        (Wanted(namespace="other"), set()),
    ],
)
async def test_only_the_chosen_runs_are_exported(kept: Kept, wanted: Wanted, ids: set[str]) -> None:
    await kept.live()
    async with kept.upkeep.read() as ledger:
        assert await ledger.count(wanted) == len(ids)
    assert {line["run"] for line in await export(kept, wanted) if line["kind"] == "run"} == ids


async def test_what_cannot_be_read_is_exported_as_it_is(kept: Kept) -> None:
    await kept.live()
    key = "(SELECT key FROM {runs} WHERE id = 'sum')"
    await kept.damage(f"UPDATE {{events}} SET body = {{noise}} WHERE seq = 0 AND run = {key}")
    lines = await export(kept)
    (damage,) = [line for line in lines if line["kind"] == "damage"]
    assert (damage["run"], damage["number"], base64.b64decode(damage["body"])) == ("sum", 0, b"\x01\xff")
    assert "cannot be read" in damage["problem"]
    assert lines[-1]["damaged"] == 1


async def test_a_long_history_takes_little_memory(tmp_path: Path) -> None:
    """More than ten megabytes of one run, of which a few hundred kilobytes are held at a time."""
    store = SqliteStore(tmp_path / "store.db", synchronous="normal")
    await store.open()
    key = await add_run(store, "A")
    big = tuple(ev.StepCompleted(1, "0", "s", n, b"12345678", Payload(b"b" + bytes(10_000))) for n in range(10))
    for number in range(120):
        await store.commit([Append(key, 0, 1 + 10 * number, big, 300)])
    await store.close()
    size = 0
    tracemalloc.start()
    try:
        async with Kept.file(tmp_path / "store.db").upkeep.read() as ledger:
            async for line in Export(ledger, Wanted()).lines(NOW_US):
                size += len(line)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 10_000_000
    assert peak < 2_000_000


def test_a_value_never_spans_lines_and_what_is_no_json_is_kept() -> None:
    assert payload_record(Payload(b"j[1,\n2]")) == {"json": [1, 2]}
    assert payload_record(Payload(b"j{broken")) == {"raw": base64.b64encode(b"j{broken").decode()}
    assert payload_record(Payload(b"zfuture")) == {"raw": base64.b64encode(b"zfuture").decode()}
    assert payload_record(Payload(b"")) == {"raw": ""}
