"""Waiting for what is to come: long polls, the event stream and log lines, all on top of events and async generators.

A wait never misses what happens between a read and it, because it is for events after a number the reader has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Any

import msgspec

from aeterna.supervisor.control.answers import EVENT_STREAM, Stream, problem
from aeterna.supervisor.control.connection import Request
from aeterna.supervisor.control.events import Event, EventRing

WAIT_S_MAX = 60
"""The longest of one long poll; a client asks again."""
KEEPALIVE_S = 15.0
"""How often an event stream that has nothing to say shows that it lives."""
RETRY_MS = 1_000
_ID_MAX = 2**63

Filter = Callable[[Event], bool]


def number_of(request: Request, name: str, default: int, most: int) -> int:
    """A whole number of the query, from 0 to ``most``; raises `ProblemError`."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise problem(HTTPStatus.BAD_REQUEST, f"{name} is a whole number from 0 to {most}, not {text[:40]!r}")
    return int(text)


def wait_of(request: Request) -> int:
    """How many seconds the client is willing to wait."""
    return min(number_of(request, "wait", 0, 86_400), WAIT_S_MAX)


def anything(_event: Event) -> bool:
    """Every event."""
    return True


def about(key: str, value: str) -> Filter:
    """The events whose data says so."""
    return lambda event: event.data.get(key) == value


async def until(events: EventRing, wait_s: float, is_true: Callable[[], bool]) -> None:
    """Return when ``is_true``, which is asked after every event, or when the time is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            last = events.last_id
            while not is_true():
                await events.wait_after(last)
                last = events.last_id


async def next_change(
    events: EventRing, request: Request, is_meant: Filter, unless: Callable[[], bool] = lambda: False
) -> None:
    """Return when an event that is meant has come after the number in the query, or may have; or the time is over."""
    after = number_of(request, "after", events.last_id, _ID_MAX)
    if after > events.last_id or events.has_lost_after(after):
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_of(request)):
            while not unless() and not any(map(is_meant, events.after(after))):
                after = events.last_id
                await events.wait_after(after)


def event_stream(events: EventRing, request: Request) -> Stream:
    """Server-sent events, from ``Last-Event-ID`` (or ``?after=``) on, else from now. ``?service=`` narrows them."""
    given = request.headers.get("last-event-id", "")
    after = number_of(request, "after", int(given) if given.isascii() and given.isdigit() else -1, _ID_MAX)
    service = request.query.get("service")
    is_meant = anything if service is None else about("service", service)
    return Stream(_server_sent(events, after, is_meant), EVENT_STREAM)


async def _server_sent(events: EventRing, after: int, is_meant: Filter) -> AsyncGenerator[bytes, None]:
    last = events.last_id if after < 0 else min(after, events.last_id)
    yield f"retry: {RETRY_MS}\n\n".encode()
    if events.has_lost_after(last):
        yield b'event: events.lost\ndata: {"after": %d}\n\n' % last
    while True:
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                await events.wait_after(last)
        except TimeoutError:
            yield b": still here\n\n"
        # An iteration's own copy: what comes while a chunk is being written is for the next one.
        for event in events.after(last):
            last = event.id
            if is_meant(event):
                yield encoded_event(event)


def encoded_event(event: Event) -> bytes:
    """One event of the stream, with its number, kind and data."""
    data = msgspec.json.encode({"at_us": event.at_us, **event.data})
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode(), data)


async def log_lines(lines: AsyncIterator[Mapping[str, Any]]) -> AsyncGenerator[bytes, None]:
    """Each line as one line of JSON."""
    async with aclosing(_closable(lines)) as closable:
        async for line in closable:
            yield msgspec.json.encode(line) + b"\n"


def _closable(lines: AsyncIterator[Mapping[str, Any]]) -> AsyncGenerator[Mapping[str, Any], None]:
    assert isinstance(lines, AsyncGenerator), "logs are an async generator (see contract)"
    return lines
