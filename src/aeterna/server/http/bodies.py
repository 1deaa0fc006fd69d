"""What callers send."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aeterna.durable.core.schedule import Overlap
from aeterna.durable.operations.queues import PERIOD_US_MAX
from aeterna.server.incoming import BATCH_MAX, CRON_MAX, DELAY_US_MAX, NAME_CHARS_MAX

ID_CHARS_MAX = 512
TEXT_CHARS_MAX = 10_000
INT_MAX = 2**31 - 1
TIME_US_MAX = 253_402_300_799_000_000
"""The end of the year 9999."""


class Body(BaseModel):
    """An unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Start(Body):
    """Start a run."""

    workflow: str = Field(min_length=1, max_length=NAME_CHARS_MAX, examples=["fulfil"])
    version: str = Field("1", min_length=1, max_length=NAME_CHARS_MAX)
    args: list[Any] = Field([], examples=[["order-7"]])
    kwargs: dict[str, Any] = {}
    id: str | None = Field(None, min_length=1, max_length=ID_CHARS_MAX)
    queue: str = Field("", max_length=NAME_CHARS_MAX)
    priority: int = Field(0, ge=-INT_MAX, le=INT_MAX)
    share: str = Field("", max_length=NAME_CHARS_MAX)
    delay_us: int = Field(0, ge=0, le=DELAY_US_MAX)
    singleton: str | None = Field(None, min_length=1, max_length=NAME_CHARS_MAX)
    debounce: bool = False
    requires: list[str] = Field([], max_length=64)
    affinity: str = Field("", max_length=NAME_CHARS_MAX)


class Signal(Body):
    """Send a signal. ``id``: a second one of the same id is the first one."""

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    payload: Any = None
    id: str = Field("", max_length=NAME_CHARS_MAX)


class Reason(Body):
    """Why."""

    reason: str = Field("", max_length=TEXT_CHARS_MAX)


class Fork(Body):
    """Begin a new run with the events before number ``position``, or with those before step ``step``: one of both."""

    position: int | None = Field(None, ge=1, le=INT_MAX)
    step: str | None = Field(None, min_length=1, max_length=NAME_CHARS_MAX, description="this step is executed again")
    occurrence: int = Field(1, ge=1, le=INT_MAX, description="which of the steps of that name")
    id: str | None = Field(None, min_length=1, max_length=ID_CHARS_MAX)


class Query(Body):
    """Ask the code of a run."""

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    timeout_s: float = Field(10.0, ge=0, le=600)


class Delete(Body):
    """Delete these runs, or those that finished so long ago."""

    ids: list[str] | None = Field(None, max_length=10_000)
    older_than_us: int | None = Field(None, ge=0, le=2**62)
    limit: int = Field(1_000, ge=1, le=10_000)


class Batch(Body):
    """Start many runs; each is answered for itself."""

    starts: list[Start] = Field(max_length=BATCH_MAX)


class SignalWithStart(Body):
    """Send a signal to a run, which is started first if it does not exist."""

    start: Start
    signal: Signal


class Limits(Body):
    """The limits of a queue; null, or left out: no limit."""

    concurrency: int | None = Field(None, ge=1, le=INT_MAX, description="runs that have started and not ended")
    concurrency_per_share: int | None = Field(None, ge=1, le=INT_MAX, description="the same for each share")
    rate: int | None = Field(None, ge=1, le=INT_MAX, description="starts per `rate_period_us`")
    rate_period_us: int = Field(1_000_000, ge=1, le=PERIOD_US_MAX)
    burst: int = Field(1, ge=1, le=INT_MAX, description="starts that the rate allows at once")


class Schedule(Body):
    """What a schedule starts, and when. ``cron`` expressions are read in ``time_zone``; with an interval, too, it fires
    at the times of either."""

    workflow: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    version: str = Field("1", min_length=1, max_length=NAME_CHARS_MAX)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    cron: list[str] = Field([], max_length=CRON_MAX, examples=[["30 2 * * *"]])
    every_us: int | None = Field(None, ge=1, le=TIME_US_MAX, description="an interval, counted from 1970")
    offset_us: int = Field(0, ge=-TIME_US_MAX, le=TIME_US_MAX, description="shifts the interval")
    time_zone: str = Field("UTC", max_length=NAME_CHARS_MAX)
    jitter_us: int = Field(0, ge=0, le=86_400_000_000, description="fire up to so much later")
    start_us: int | None = Field(None, ge=0, le=TIME_US_MAX, description="no firing before")
    end_us: int | None = Field(None, ge=0, le=TIME_US_MAX, description="no firing after")
    overlap: Overlap = Field(Overlap.SKIP, description="what happens while the last run has not ended")
    catch_up_us: int = Field(86_400_000_000, ge=0, le=2**62, description="what is later than this is dropped")
    queue: str = Field("", max_length=NAME_CHARS_MAX)
    priority: int = Field(0, ge=-INT_MAX, le=INT_MAX)
    share: str = Field("", max_length=NAME_CHARS_MAX)
    requires: list[str] = Field([], max_length=64)
    note: str = Field("", max_length=TEXT_CHARS_MAX)
    is_paused: bool | None = Field(None, description="null: as it was")


class Backfill(Body):
    """Start the runs of all times of a schedule between two times in the past, both included."""

    start_us: int = Field(ge=0, le=TIME_US_MAX)
    end_us: int = Field(ge=0, le=TIME_US_MAX)
    overlap: Overlap = Field(Overlap.BUFFER_ALL, description="`buffer_all`: one by one, or `allow_all`: all at once")
