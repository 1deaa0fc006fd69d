"""The event stream with its numbers, the log lines, and the ring behind them."""

from __future__ import annotations

import asyncio
import json

import pytest

from aeterna.supervisor.control.events import EventRing
from aeterna.testing.clock import FakeClock
from tests.supervisor.control_world import World, close, den, read_chunk, read_head, wait_true


async def open_stream(here, path, headers=""):
    """A connection on which a stream has begun."""
    reader, writer = await here.connect()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    status, found = await read_head(reader)
    assert (status, found["transfer-encoding"]) == (200, "chunked")
    return reader, writer


async def read_event(reader):
    """The next event of a stream: number, kind, data."""
    lines = dict(line.split(": ", 1) for line in (await read_chunk(reader)).decode().strip().split("\n"))
    return int(lines.get("id", 0)), lines.get("event"), json.loads(lines["data"])


async def test_events_are_streamed_as_they_happen():
    async with den() as here:
        here.world.events.publish("before", {})
        reader, writer = await open_stream(here, "/v1/events")
        assert await read_chunk(reader) == b"retry: 1000\n\n"
        here.world.change(state="BACKOFF")
        number, kind, data = await read_event(reader)
        assert (number, kind) == (here.world.events.last_id, "service.state")
        assert (data["service"], data["to"], data["at_us"] > 0) == ("web", "BACKOFF", True)
        await close(writer)


async def test_a_reader_that_comes_back_gets_what_it_missed():
    async with den() as here:
        first = here.world.events.publish("one", {})
        here.world.events.publish("two", {"text": "line\nbreak"})
        for path, headers in (("/v1/events", f"Last-Event-ID: {first.id}\r\n"), (f"/v1/events?after={first.id}", "")):
            reader, writer = await open_stream(here, path, headers)
            await read_chunk(reader)
            assert (await read_event(reader))[1:] == (
                "two",
                {"at_us": here.world.events.after(0)[1].at_us} | {"text": "line\nbreak"},
            )
            await close(writer)


async def test_a_reader_that_comes_too_late_is_told_that_it_missed_some():
    world = World(events=EventRing(FakeClock(), capacity=2))
    first = world.events.publish("one", {})
    for _ in range(3):
        world.events.publish("more", {})
    async with den(world) as here:
        reader, writer = await open_stream(here, "/v1/events", f"Last-Event-ID: {first.id}\r\n")
        await read_chunk(reader)
        assert await read_event(reader) == (0, "events.lost", {"after": first.id})
        assert [(await read_event(reader))[0] for _ in range(2)] == [first.id + 2, first.id + 3]
        await close(writer)


async def test_the_events_of_one_service_can_be_asked_for():
    async with den() as here:
        reader, writer = await open_stream(here, "/v1/events?service=web")
        await read_chunk(reader)
        here.world.events.publish("service.state", {"service": "other"})
        here.world.events.publish("service.state", {"service": "web"})
        assert (await read_event(reader))[2]["service"] == "web"
        await close(writer)


async def test_a_number_from_the_future_means_from_now_on():
    async with den() as here:
        reader, writer = await open_stream(here, "/v1/events", f"Last-Event-ID: {2**62}\r\n")
        await read_chunk(reader)
        event = here.world.events.publish("now", {})
        assert (await read_event(reader))[0] == event.id
        await close(writer)


async def test_the_last_lines_are_given_and_the_stream_ends():
    async with den() as here:
        for number in range(5):
            here.world.log(f"line {number}")
        reader, writer = await open_stream(here, "/v1/services/web/logs?lines=2")
        assert [json.loads(await read_chunk(reader))["text"] for _ in range(2)] == ["line 3", "line 4"]
        assert await read_chunk(reader) == b""
        # The connection goes on after a stream.
        writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_head(reader))[0] == 200
        await close(writer)


async def test_lines_are_followed_until_the_reader_leaves():
    async with den() as here:
        here.world.log("old")
        reader, writer = await open_stream(here, "/v1/logs?lines=1&follow=1")
        assert json.loads(await read_chunk(reader))["text"] == "old"
        here.world.log("new")
        assert json.loads(await read_chunk(reader))["text"] == "new"
        assert here.world.open_followers == 1
        await close(writer)
        await wait_true(lambda: here.world.open_followers == 0)


async def test_many_readers_and_one_that_leaves():
    async with den() as here:
        streams = [await open_stream(here, "/v1/events") for _ in range(20)]
        for reader, _ in streams:
            await read_chunk(reader)
        await close(streams[0][1])
        here.world.events.publish("all", {})
        for reader, writer in streams[1:]:
            assert (await read_event(reader))[1] == "all"
            await close(writer)


async def test_numbers_grow_over_a_restart():
    clock = FakeClock()
    first = EventRing(clock)
    event = first.publish("a", {})
    clock.advance(1_000)
    second = EventRing(clock)
    assert second.last_id > event.id
    assert second.has_lost_after(event.id)
    assert not second.has_lost_after(second.last_id)
    assert second.after(event.id) == []


async def test_whoever_waits_wakes_at_the_next_event_only():
    ring = EventRing(FakeClock())
    waiting = asyncio.ensure_future(ring.wait_after(ring.last_id))
    cancelled = asyncio.ensure_future(ring.wait_after(ring.last_id))
    await asyncio.wait([waiting], timeout=0.01)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    ring.publish("a", {})
    await waiting
    await ring.wait_after(ring.last_id - 1)
