"""What the HTTP API answers about runs, for its description: a model for each, with what its fields mean.

Answers go through these models and those of `standing`, so that a field which the description does not name is never
sent."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aeterna.durable.core.states import Detail, State

AT_US = 1_767_225_600_000_000
"""2026-01-01 in the examples."""


class Run(BaseModel):
    """A run as the store has it. Times are microseconds since 1970 (UTC)."""

    namespace: str = Field(description="the name of its App", examples=["orders"])
    id: str = Field(examples=["order-7"])
    workflow: str = Field(examples=["fulfil"])
    version: str = Field(description="of the workflow's code", examples=["1"])
    state: State = Field(examples=[State.RUNNING])
    detail: Detail = Field(description="what it is doing", examples=[Detail.LEASED])
    created_us: int = Field(examples=[AT_US])
    updated_us: int = Field(description="when something was recorded of it last", examples=[AT_US + 1_500])
    length: int = Field(description="how many events its history has", examples=[4])
    epoch: int = Field(description="how often it was taken; a write of an earlier epoch is refused", examples=[1])
    owner: int | None = Field(description="the session that executes it", examples=[12])
    wake_us: int | None = Field(description="when it goes on, if it waits for a time", examples=[None])
    finished_us: int | None = Field(examples=[None])
    parent: str | None = Field(description="the run that it is a child of", examples=[None])
    note: str = Field(description="what it waits for, or why it is stuck; `(hidden)` from readers", examples=[""])
    queue: str = Field(description="'' = none", examples=["pickers"])
    priority: int = Field(description="lower starts sooner", examples=[0])
    share: str = Field(description="shares of a queue take turns", examples=["customer-1"])
    requires: list[str] = Field(description="capabilities that its worker must have", examples=[[]])
    crashes: int = Field(description="workers in a row that died with it", examples=[0])


class OneRun(BaseModel):
    """A run."""

    run: Run


class Runs(BaseModel):
    """A page of runs, newest first."""

    runs: list[Run]
    next: int | None = Field(description="`before` of the next page; null at the end", examples=[41])


class Started(BaseModel):
    """The run that is meant."""

    run: Run
    is_new: bool = Field(description="false: it was there")


class StartedWithSignal(Started):
    """The run that is meant, and whether the signal is new."""

    is_duplicate: bool = Field(description="the signal was there already")


class BatchItem(BaseModel):
    """What became of one start: either `id` and `is_new`, or `error` and `detail`."""

    id: str | None = Field(None, examples=["order-7"])
    is_new: bool | None = None
    error: str | None = Field(None, description="the class of the error", examples=["WorkflowIdConflictError"])
    detail: str | None = Field(None, description="what is wrong")


class Batch(BaseModel):
    """One result for each start, in their order."""

    results: list[BatchItem]


class Failure(BaseModel):
    """The exception with which a run failed."""

    type: str = Field(examples=["ValueError"])
    message: str = Field(examples=["the card was declined"])
    traceback: str = Field(examples=["Traceback (most recent call last): ..."])


class Outcome(BaseModel):
    """A run, and how it ended, as far as it has."""

    run: Run
    result: Any = Field(description="what the workflow returned; null for readers", examples=[{"parcel": "P-1"}])
    error: Failure | None
    reason: str | None = Field(description="why it was cancelled", examples=[None])


class Ordered(BaseModel):
    """The run after an order."""

    run: Run
    done: str = Field(description="`requested`, `requested before` or `terminated`", examples=["requested"])


class Sent(BaseModel):
    """A signal was sent."""

    is_duplicate: bool = Field(description="one of that id had been sent before, and counts")


class Answered(BaseModel):
    """What the run's code answered."""

    result: Any = Field(examples=[{"picked": 3, "of": 5}])


class Deleted(BaseModel):
    """How many runs are gone, their descendants included."""

    deleted: int = Field(examples=[3])


class History(BaseModel):
    """A page of a run's events. Each has `number`, `at_us`, `event` (its class) and the fields of that class."""

    run: Run
    events: list[dict[str, Any]] = Field(
        examples=[
            [{"number": 1, "at_us": AT_US, "event": "StepCompleted", "name": "pick", "result": 3, "attempt": 1}],
        ]
    )
    next: int | None = Field(description="`start` of the next page; null at the end", examples=[None])


class WhyReason(BaseModel):
    """One thing that a run waits for."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(examples=["concurrency"])
    text: str = Field(examples=["queue 'pickers' has 2 runs going, and its limit is 2"])
    unblocks: str = Field(examples=["the end of one of them"])


class Explanation(BaseModel):
    """What a run waits for, and what would unblock it."""

    why: WhyReason
