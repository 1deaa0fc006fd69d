"""What the HTTP API answers about a server and what is kept beside its runs; see `answers`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from aeterna.server.http.answers import AT_US


class Queue(BaseModel):
    """A queue's limits, null = none, and how it stands."""

    name: str = Field(examples=["pickers"])
    concurrency: int | None = Field(description="runs that have started and not ended", examples=[2])
    concurrency_per_share: int | None = Field(description="the same for each share", examples=[None])
    rate: int | None = Field(description="starts per `rate_period_us`", examples=[10])
    rate_period_us: int = Field(examples=[1_000_000])
    burst: int = Field(description="starts that the rate allows at once", examples=[1])
    is_paused: bool = Field(description="nothing of it starts")
    pending: int = Field(description="runs that wait in it", examples=[5])
    running: int = Field(description="runs that have a place in it", examples=[2])
    oldest_us: int | None = Field(description="when the one that waits longest was created", examples=[AT_US])


class Queues(BaseModel):
    """All queues that were put or have unfinished runs, by name."""

    queues: list[Queue]


class WasThere(BaseModel):
    """Something was deleted."""

    deleted: bool = Field(description="false: there was none")


class Spec(BaseModel):
    """What a schedule starts, and when; see the body of `PUT /api/schedules/{schedule_id}`."""

    workflow: str = Field(examples=["report"])
    version: str = "1"
    args: list[Any] = Field(description="`(hidden)` from readers", examples=[["eu"]])
    kwargs: dict[str, Any] = {}
    cron: list[str] = Field([], examples=[["30 2 * * *"]])
    every_us: int | None = None
    offset_us: int = 0
    time_zone: str = "UTC"
    jitter_us: int = 0
    start_us: int | None = None
    end_us: int | None = None
    overlap: str = Field("skip", examples=["skip"])
    catch_up_us: int = 86_400_000_000
    of: str | None = Field(None, description="the schedule that this one is a backfill of")
    queue: str = ""
    priority: int = 0
    share: str = ""
    requires: list[str] = []
    note: str = ""


class Schedule(BaseModel):
    """A schedule as it stands."""

    id: str = Field(examples=["nightly"])
    spec: Spec
    is_paused: bool
    last_run: str = Field(description="the run it started last", examples=["nightly@2026-01-01T02:30:00Z"])
    next_us: int | None = Field(description="when it fires next; null: never", examples=[AT_US])
    coming_us: list[int] = Field(description="its next times", examples=[[AT_US]])


class Schedules(BaseModel):
    """All schedules, by id; backfills that are not done are among them."""

    schedules: list[Schedule]


class Triggered(BaseModel):
    """The run that was started."""

    run: str = Field(examples=["nightly@2026-01-01T12:00:00Z"])


class Backfilled(BaseModel):
    """The schedule that starts the runs of past times, and is gone when it has."""

    schedule: str = Field(examples=["nightly~2026-01-01T00:00:00Z~2026-01-31T00:00:00Z"])


class Session(BaseModel):
    """The live session of a worker."""

    number: int = Field(examples=[12])
    host: str = Field(examples=["worker-3"])
    pid: int = Field(examples=[4711])
    opened_us: int = Field(examples=[AT_US])
    closed_us: int | None = Field(examples=[None])
    expires_us: int | None = Field(description="the end of its lease", examples=[AT_US])
    name: str = Field(examples=["worker-3:4711"])
    about: str = Field(description="what the worker says of itself, as JSON", examples=['{"queues":null}'])
    runs: int = Field(description="that it holds", examples=[2])
    room: int | None = Field(description="how many more it takes; null: it does not say", examples=[98])


class Workers(BaseModel):
    """The live sessions of workers, oldest first."""

    workers: list[Session]


class Namespaces(BaseModel):
    """The namespaces that the caller may see."""

    namespaces: list[str] = Field(examples=[["orders"]])


class Counts(BaseModel):
    """How many runs are in which state."""

    active: int = Field(description="have not ended", examples=[7])
    pending: int = Field(examples=[5])
    running: int = Field(examples=[2])
    completed: int = Field(examples=[100])
    failed: int = Field(examples=[1])
    cancelled: int = Field(examples=[0])


class StuckRun(BaseModel):
    """A run that does not move."""

    id: str = Field(examples=["order-7"])
    workflow: str = Field(examples=["fulfil"])
    detail: str = Field(examples=["stuck"])
    note: str = Field(description="why; `(hidden)` from readers")
    since_us: int = Field(examples=[AT_US])


class QueueRow(BaseModel):
    """A queue's limits."""

    name: str = Field(examples=["pickers"])
    concurrency: int | None = None
    concurrency_per_share: int | None = None
    rate: int | None = None
    rate_period_us: int = 1_000_000
    burst: int = 1
    is_paused: bool = False


class QueueStanding(BaseModel):
    """A queue and how it stands."""

    queue: QueueRow
    pending: int
    running: int
    oldest_us: int | None
    tat_us: int = Field(description="when its rate limit has caught up; 0 = never used")


class Summary(BaseModel):
    """How a namespace stands."""

    namespace: str = Field(examples=["orders"])
    at_us: int = Field(examples=[AT_US])
    runs: dict[str, int] = Field(description="by state", examples=[{"PENDING": 5, "RUNNING": 2}])
    pending: int = Field(description="all that wait for their start", examples=[5])
    oldest_pending_us: int | None = Field(description="when the one that waits longest was created", examples=[AT_US])
    oldest_pending_s: float | None = Field(description="how long it has waited", examples=[12.5])
    queues: list[QueueStanding]
    queue_backlog: dict[str, int] = Field(description="what waits in each queue, '' = in none", examples=[{"": 5}])
    workers: int = Field(examples=[3])
    stuck_after_s: float = Field(description="what has not moved for so long is stuck", examples=[300.0])
    stuck_count: int = Field(examples=[1])
    stuck: list[StuckRun] = Field(description="some of them, those that have not moved longest first")
    stuck_run_ids: list[str] = Field(description="their ids", examples=[["order-7"]])
    is_partial: bool = Field(description="so many are under way that only the latest were looked at")


class Token(BaseModel):
    """What may be shown of a token."""

    id: str = Field(examples=["1f2e3d4c5b6a"])
    namespace: str = Field(description="`*` = all", examples=["orders"])
    role: str = Field(examples=["worker"])
    created_us: int = Field(examples=[AT_US])
    note: str = Field(examples=["worker machines"])


class NewToken(Token):
    """A new token; its secret is shown this once."""

    token: str = Field(examples=["aet_..."])


class Tokens(BaseModel):
    """The tokens that the caller administers."""

    tokens: list[Token]


class Health(BaseModel):
    """The process is alive."""

    status: str = Field(examples=["ok"])
    version: str = Field(examples=["1.0.0"])


class Readiness(BaseModel):
    """Whether the server takes requests."""

    ready: bool
    reason: str | None = Field(None, description="why not")
