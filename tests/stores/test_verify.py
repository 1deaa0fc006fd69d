"""What ``verify`` finds: nothing in what engines write, and every kind of damage that SQL can plant."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aeterna.durable.stores.audit import Auditor, audit
from aeterna.durable.stores.ledger import Finding
from aeterna.kernel.errors import StoreCorruptError
from tests.stores.kept import Kept

_KEY = "(SELECT key FROM {runs} WHERE id = 'sum')"
_FIRST = f"run = {_KEY} AND seq = 0"
_SECOND = f"run = {_KEY} AND seq = (SELECT min(seq) FROM {{events}} WHERE run = {_KEY} AND seq > 0)"
_LAST = f"run = {_KEY} AND seq = (SELECT max(seq) FROM {{events}} WHERE run = {_KEY})"


@pytest.fixture(params=["file", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "file":
        return Kept.file(tmp_path / "store.db")
    return Kept.postgres(request.getfixturevalue("postgres_url"))


async def verify(kept: Kept) -> tuple[list[Finding], Auditor]:
    auditor = Auditor()
    async with kept.upkeep.read() as ledger:
        return [finding async for finding in audit(ledger, auditor, lambda: None)], auditor


async def test_what_engines_write_is_in_order_also_while_one_writes(kept: Kept) -> None:
    await kept.live()
    found, auditor = await verify(kept)
    assert (found, auditor.runs) == ([], 5)
    assert auditor.events > 12
    writing = asyncio.create_task(kept.live("more-"))
    while not writing.done():
        found, _ = await asyncio.to_thread(asyncio.run, verify(kept))
        assert found == []
    await writing
    found, auditor = await verify(kept)
    assert (found, auditor.runs) == ([], 10)


DAMAGE = {
    "a hole": (
        f"DELETE FROM {{events}} WHERE {_SECOND}",
        "events 2 to",
        2,
    ),
    "an event that cannot be read": (
        f"UPDATE {{events}} SET body = {{noise}} WHERE {_FIRST}",
        "it cannot be read: a history segment cannot be read",
        0,
    ),
    "fewer events than it says": (
        f"UPDATE {{events}} SET events = 9 WHERE {_LAST}",
        "instead of 9",
        None,
    ),
    "a row that says another state": (
        "UPDATE {runs} SET state = 'FAILED' WHERE id = 'sum'",
        "its row says that state is FAILED, its history says COMPLETED",
        None,
    ),
    "a row of another workflow": (
        "UPDATE {runs} SET workflow = 'other' WHERE id = 'sum'",
        "its row says that workflow is other, its history says total",
        None,
    ),
    "an unfinished row of a run that has ended": (
        "UPDATE {runs} SET finished_us = NULL WHERE id = 'sum'",
        "its row is COMPLETED, which does not fit finished_us None",
        None,
    ),
    "a state that there is not": (
        "UPDATE {runs} SET state = 'LOST' WHERE id = 'sum'",
        "unknown state 'LOST'",
        None,
    ),
    "events that come twice": (
        f"UPDATE {{events}} SET seq = seq - 1 WHERE {_SECOND}",
        "there are several events of the numbers 1 to 1",
        1,
    ),
    "a history that no engine could have written": (
        f"UPDATE {{events}} SET body = (SELECT body FROM {{events}} WHERE {_FIRST}), events = 2 WHERE {_LAST}",
        "event RunCreated is illegal in state RUNNING",
        None,
    ),
    "a row of another parent": (
        "UPDATE {runs} SET parent = 'nobody' WHERE id = 'sum'",
        "its row says that parent is nobody, its history says None",
        None,
    ),
    "no history at all": (f"DELETE FROM {{events}} WHERE run = {_KEY}", "it has no history", 0),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_damage_is_named_with_its_run_and_event(kept: Kept, name: str) -> None:
    sql, problem, event = DAMAGE[name]
    await kept.live()
    await kept.damage(sql)
    found, _ = await verify(kept)
    assert found
    assert {(each.namespace, each.run) for each in found} == {("shop", "sum")}
    named = next(each for each in found if problem in each.problem)
    assert event is None or named.event == event
    assert named.text.startswith("run 'sum' of app 'shop'")
    assert "\n" not in named.text


async def test_a_run_that_a_dead_session_owns_is_named(kept: Kept) -> None:
    await kept.live()
    await kept.damage("UPDATE {runs} SET owner = 12345, finished_us = NULL WHERE id = 'long'")
    found, _ = await verify(kept)
    assert [(each.run, each.problem) for each in found] == [
        ("long", "session 12345 owns it, and has ended or is not there")
    ]


async def test_rows_that_belong_to_nothing_are_named(kept: Kept) -> None:
    await kept.live()
    await kept.damage(
        "INSERT INTO {inbox} (run, number, id, kind, name, payload, at_us) "
        "VALUES (777, 3, '', 'signal', 'go', {readable}, 1); "
        "INSERT INTO {shares} (namespace, queue, share, served_us) VALUES (99, 'q', 's', 1); "
        "UPDATE {sessions} SET namespace = 98"
    )
    found = {each.text for each in (await verify(kept))[0]}
    assert "message 3 is for run number 777, which is not there" in found
    assert "share 's' of queue 'q' is of namespace number 99, which is not there" in found
    assert any("is of namespace number 98, which is not there" in text for text in found)


async def test_a_value_that_cannot_be_read_is_named(kept: Kept) -> None:
    """The bytes of one recorded value are changed, in place, to what is no JSON."""
    await kept.live()
    if kept.is_file:
        await kept.damage(
            f"UPDATE {{events}} SET body = CAST(replace(CAST(body AS TEXT), 'total', '\"otal') AS BLOB) WHERE {_LAST}"
        )
    else:
        await kept.damage(
            "UPDATE {events} SET body = overlay(body PLACING '\\x22'::bytea FROM position('total'::bytea IN body)) "
            f"WHERE run = {_KEY} AND position('{{{{\"total'::bytea IN body) > 0"
        )
    found, _ = await verify(kept)
    assert [each.run for each in found] == ["sum"]
    assert "result cannot be read" in found[0].problem or "result does not fit" in found[0].problem


async def test_a_message_that_cannot_be_read_is_named(kept: Kept) -> None:
    await kept.live()
    await kept.damage(
        "INSERT INTO {inbox} (run, number, id, kind, name, payload, at_us) "
        "SELECT key, 1, '', 'cancel', 'go', {readable}, 1 FROM {runs} WHERE id = 'long'"
    )
    found, _ = await verify(kept)
    (finding,) = [each for each in found if "inbox holds" not in each.problem]
    assert (finding.run, finding.event) == ("long", None)
    assert finding.problem.startswith("message 1 in its inbox has the unknown encoding")


async def test_a_message_that_was_never_posted_is_named(kept: Kept) -> None:
    await kept.live()
    await kept.damage(f"UPDATE {{runs}} SET {'posted' if kept.is_file else 'messages'} = 0 WHERE id = 'told'")
    (finding,), _ = await verify(kept)
    assert (finding.run, finding.problem) == ("told", "its history holds message 1, but only 0 were posted")


async def test_every_damaged_page_is_found(tmp_path: Path) -> None:
    """Each page in turn is overwritten with noise: there are findings, or the error that says so, where SQLite does not
    know the tables any more."""
    kept = Kept.file(tmp_path / "store.db")
    await kept.live()
    await kept.upkeep.vacuum()
    good = (tmp_path / "store.db").read_bytes()
    refused = 0
    for page in range(len(good) // 4_096):
        noise = good[: page * 4_096] + b"\xa5" * 4_096 + good[(page + 1) * 4_096 :]
        (tmp_path / "store.db").write_bytes(noise)
        try:
            assert (await verify(kept))[0], page
        except StoreCorruptError:
            refused += 1
    assert refused < 4
    (tmp_path / "store.db").write_bytes(good)
    assert (await verify(kept))[0] == []


async def test_a_miscounted_inbox_is_named(postgres_url: str) -> None:
    kept = Kept.postgres(postgres_url)
    await kept.live()
    await kept.damage("UPDATE {runs} SET signals = 2 WHERE id = 'long'")
    (finding,), _ = await verify(kept)
    assert (finding.run, finding.problem) == (
        "long",
        "its row says that 2 signals and 0 orders are unread, its inbox holds 0 and 0",
    )
