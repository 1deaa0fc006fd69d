"""What changes in a namespace, as server-sent events, with the row of the run that each is about."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.kernel.clock import sleep
from aeterna.server.http.feed import Change, Feed, Missed
from aeterna.server.http.gate import Caller

HEARTBEAT_S = 15.0
RETRY_MS = 1_000


class Feeds:
    """The feeds of a server's namespaces."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._is_closed = False

    def of(self, desk: NamespaceDesk) -> Feed:
        """That of one namespace."""
        feed = self._feeds.get(desk.name)
        if feed is None:
            feed = self._feeds[desk.name] = Feed(desk)
            if self._is_closed:
                feed.close()
        return feed

    def close(self) -> None:
        """The server stops: every stream ends."""
        self._is_closed = True
        for feed in self._feeds.values():
            feed.close()


async def stream(caller: Caller, feed: Feed, run_id: str, after: str, limit_s: float | None) -> AsyncIterator[str]:
    """The events, of one run or ('') of all, after the one of that id ('' = from now on); ``limit_s``: for so long."""
    yield f"retry: {RETRY_MS}\n: changes of namespace {caller.desk.name}\n\n"
    async with (
        contextlib.aclosing(feed.follow(after)) as following,
        contextlib.aclosing(_with_heartbeats(following, limit_s)) as coming,
    ):
        async for found in coming:
            if found is None:
                yield ": still here\n\n"
            elif isinstance(found, Missed):
                yield _event(feed, found.number, "reset", {})
            else:
                for change in [each for each in found if run_id in ("", each.subject)]:
                    yield _event(feed, change.number, change.kind, await _data(caller, change))


async def _with_heartbeats(
    following: AsyncIterator[list[Change] | Missed], limit_s: float | None
) -> AsyncGenerator[list[Change] | Missed | None, None]:
    """What comes, and None where nothing has come for a while: so a connection that is gone is found out. It ends after
    ``limit_s``, if that is given."""
    coming = asyncio.ensure_future(anext(following, None))
    limit = asyncio.ensure_future(asyncio.Event().wait() if limit_s is None else sleep(limit_s))
    try:
        while True:
            await asyncio.wait([coming, limit], timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            done = coming.done()
            if limit.done() or (done and coming.result() is None):
                return
            yield coming.result() if done else None
            if done:
                coming = asyncio.ensure_future(anext(following, None))
    finally:
        limit.cancel()
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming


async def _data(caller: Caller, change: Change) -> dict[str, Any]:
    if change.kind == "schedule":
        return {"subject": change.subject}
    row = await caller.desk.store.get_run(change.subject)
    return {"subject": change.subject, "run": None if row is None else caller.run(row)}


def _event(feed: Feed, number: int, kind: str, data: dict[str, Any]) -> str:
    return f"id: {feed.id_of(number)}\nevent: {kind}\ndata: {msgspec.json.encode(data).decode()}\n\n"
