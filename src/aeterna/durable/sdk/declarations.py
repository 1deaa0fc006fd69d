"""Queues and schedules that a program declares: put where they are kept whenever its app opens.

What a program declares no more stays as it was put; ``aeterna queue delete`` and ``aeterna schedule delete`` remove it.
What somebody paused stays paused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

from msgspec import structs

from aeterna.durable.core.schedule import Overlap, ScheduleSpec
from aeterna.durable.engine.calendars import timeline
from aeterna.durable.engine.program import StartOptions
from aeterna.durable.operations.queues import check_queue, declare_queue
from aeterna.durable.operations.schedules import put_schedule
from aeterna.durable.operations.world import World
from aeterna.durable.sdk.step import to_us
from aeterna.durable.sdk.workflow import Workflow
from aeterna.durable.stores.contract import QueueRow
from aeterna.kernel.errors import ConfigurationError, DuplicateNameError

P = ParamSpec("P")
R = TypeVar("R")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class QueueOptions(TypedDict, total=False):
    """The limits of a queue; what is left out is not limited.

    ``concurrency``: runs that have started and not ended, in all workers together; ``concurrency_per_share``: the same
    for each share. ``rate``: starts per ``per`` (a second, if not given), up to ``burst`` of them at once.
    """

    concurrency: int
    concurrency_per_share: int
    rate: int
    per: float | timedelta
    burst: int


class ScheduleOptions(TypedDict, total=False):
    """When a schedule fires, and how.

    ``cron``: one expression or several, read in ``time_zone`` (UTC, if not given); ``every``: an interval, counted from
    midnight UTC (1970) plus ``offset``. ``jitter``: fire up to so much later. ``start``, ``end``: no firing before and
    after. ``overlap``: what happens while the last run goes on (skip, buffer_one, buffer_all, cancel_other,
    terminate_other, allow_all). ``catch_up``: a firing that is later than this, because no program ran, is dropped (a
    day, if not given). ``args`` and ``kwargs``: what the workflow is called with.
    """

    cron: str | Sequence[str]
    every: float | timedelta
    offset: float | timedelta
    time_zone: str
    jitter: float | timedelta
    start: datetime
    end: datetime
    overlap: str
    catch_up: float | timedelta
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    note: str


class Declarations:
    """What one app declares."""

    def __init__(self, app_name: str) -> None:
        self._app_name = app_name
        self._queues: dict[str, QueueRow] = {}
        self._schedules: dict[str, ScheduleSpec] = {}

    @property
    def is_empty(self) -> bool:
        """There are none."""
        return not self._queues and not self._schedules

    def queue(self, name: str, **options: Unpack[QueueOptions]) -> None:
        """Declare the limits of a queue; raises `ConfigurationError` and `DuplicateNameError`."""
        row = QueueRow(
            name,
            options.get("concurrency"),
            options.get("concurrency_per_share"),
            options.get("rate"),
            to_us(options.get("per", 1.0), f"per of queue {name!r}"),
            options.get("burst", 1),
        )
        check_queue(row)
        if name in self._queues:
            raise DuplicateNameError(f"app {self._app_name!r} declares queue {name!r} twice")
        self._queues[name] = row

    def schedule(self, schedule: str, **options: Unpack[ScheduleOptions]) -> Callable[[Workflow[P, R]], Workflow[P, R]]:
        """Declare that a workflow is started by a schedule: stands above ``@app.workflow``, or is called with a
        workflow. Raises `ConfigurationError` and `DuplicateNameError` then."""

        def declare(workflow: Workflow[P, R]) -> Workflow[P, R]:
            if not isinstance(workflow, Workflow):
                raise ConfigurationError(f"schedule {schedule!r} decorates a workflow: write it above @app.workflow")
            spec = spec_of(schedule, workflow, options)
            timeline(schedule, spec)
            if schedule in self._schedules:
                raise DuplicateNameError(f"app {self._app_name!r} declares schedule {schedule!r} twice")
            self._schedules[schedule] = spec
            return workflow

        return declare

    async def put(self, world: World) -> None:
        """Put everything that is declared; what is as declared is left alone."""
        for queue in self._queues.values():
            await declare_queue(world, queue)
        for schedule, spec in self._schedules.items():
            await put_schedule(world, schedule, spec)


class Declaring:
    """The part of an app that declares."""

    name: str

    @cached_property
    def declarations(self) -> Declarations:
        """What the app declares."""
        return Declarations(self.name)

    def queue(self, name: str, **limits: Unpack[QueueOptions]) -> None:
        """Declare the limits of a queue, which hold for all workers together (see `QueueOptions`). They are set when
        the app opens.

        Raises `ConfigurationError` for limits that mean nothing and `DuplicateNameError` if it was declared before."""
        self.declarations.queue(name, **limits)

    def schedule(self, schedule: str, **options: Unpack[ScheduleOptions]) -> Callable[[Workflow[P, R]], Workflow[P, R]]:
        """Have a workflow started again and again: stands above ``@app.workflow``, or is called with a workflow.

        ``schedule``: its id; ``options``: see `ScheduleOptions`. It is put when the app opens. Raises
        `ConfigurationError` for one that means nothing and `DuplicateNameError` if it was declared before."""
        return self.declarations.schedule(schedule, **options)


def spec_of(schedule: str, workflow: Workflow[..., Any], options: ScheduleOptions) -> ScheduleSpec:
    """What a schedule of a workflow starts, and when."""
    how = workflow.start_options or StartOptions()
    if how.delay_us or how.singleton is not None or how.affinity:
        raise ConfigurationError(
            f"schedule {schedule!r}: the workflow has a delay, singleton, debounce or affinity; schedules heed none. "
            "overlap= says what happens while its last run goes on"
        )
    plain = ScheduleSpec(
        workflow=workflow.name,
        version=workflow.definition.version,
        arguments=workflow.encode_arguments(options.get("args", ()), dict(options.get("kwargs", {}))),
        overlap=_overlap(schedule, options),
        note=options.get("note", ""),
        queue=how.queue,
        priority=how.priority,
        share=how.share,
        requires=how.requires,
    )
    return _with_times(plain, f"of schedule {schedule!r}", options)


def _overlap(schedule: str, options: ScheduleOptions) -> Overlap:
    given = options.get("overlap", Overlap.SKIP.value)
    if given not in [policy.value for policy in Overlap]:
        choices = ", ".join(policy.value for policy in Overlap)
        raise ConfigurationError(f"schedule {schedule!r}: overlap {given!r} is unknown: use one of {choices}")
    return Overlap(given)


def _with_times(spec: ScheduleSpec, what: str, options: ScheduleOptions) -> ScheduleSpec:
    cron, every = options.get("cron", ()), options.get("every")
    return structs.replace(
        spec,
        cron=(cron,) if isinstance(cron, str) else tuple(cron),
        every_us=None if every is None else to_us(every, f"every {what}"),
        offset_us=to_us(options.get("offset", 0), f"offset {what}"),
        time_zone=options.get("time_zone", spec.time_zone),
        jitter_us=to_us(options.get("jitter", 0), f"jitter {what}"),
        start_us=_moment(options.get("start"), f"start {what}"),
        end_us=_moment(options.get("end"), f"end {what}"),
        catch_up_us=to_us(options["catch_up"], f"catch_up {what}") if "catch_up" in options else spec.catch_up_us,
    )


def _moment(given: datetime | None, what: str) -> int | None:
    if given is None:
        return None
    if given.tzinfo is None:
        raise ConfigurationError(f"{what} is {given!r}, which has no time zone: add tzinfo=")
    return (given - _EPOCH) // timedelta(microseconds=1)
