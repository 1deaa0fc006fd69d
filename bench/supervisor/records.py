"""What happened to each request: the record, and its way through a file.

Times are seconds of CLOCK_MONOTONIC, which all processes of a machine share: a mark made by whoever asked for a reload
can be held against the records of the process that made the load.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Outcome(StrEnum):
    """How a request ended. Only OK is a success; nothing is ever tried again."""

    OK = "ok"
    REFUSED = "refused"
    """No connection: nobody listens."""
    RESET = "reset"
    """The connection was reset before the whole answer was there."""
    FAILED = "failed"
    """The connection was closed before the whole answer was there, or the answer was an error."""
    TIMEOUT = "timeout"
    """No whole answer in time."""


class Kind(StrEnum):
    """Which kind of client sent it."""

    ONE_SHOT = "one-shot"
    """Open loop, a connection for each request."""
    KEEP_ALIVE = "keep-alive"
    """Open loop, on a connection that is used again."""
    CLOSED_LOOP = "closed-loop"
    """A client that sends its next request on the same connection when the last one is answered."""
    SSE = "sse"
    WEBSOCKET = "websocket"
    UPLOAD = "upload"


class Record(NamedTuple):
    """One request. ``status`` is the HTTP status (a WebSocket: its close code), 0 without an answer; ``pid`` and
    ``release`` say who answered."""

    sent_s: float
    latency_ms: float
    kind: Kind
    outcome: Outcome
    status: int
    pid: int
    release: str

    @property
    def ended_s(self) -> float:
        """When the answer was complete, or the request had failed."""
        return self.sent_s + self.latency_ms / 1000


def write(path: Path, records: Iterable[Record]) -> None:
    """All records as JSON."""
    path.write_text(json.dumps(list(records)))


def read(path: Path) -> list[Record]:
    """The records of such a file, in the order in which they ended."""
    return [
        Record(sent_s, latency_ms, Kind(kind), Outcome(outcome), status, pid, release)
        for sent_s, latency_ms, kind, outcome, status, pid, release in json.loads(path.read_text())
    ]
