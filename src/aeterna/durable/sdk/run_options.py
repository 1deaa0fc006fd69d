"""The options with which one run of a workflow starts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TypedDict

from aeterna.durable.engine.program import StartOptions
from aeterna.durable.sdk.step import to_us
from aeterna.kernel.errors import ConfigurationError


class RunOptions(TypedDict, total=False):
    """What is left out, or None, stays as it is.

    ``workflow_id``: the id of the run; the same id is the same run. ``queue``: where it waits for its turn,
    ``priority``: the lower, the sooner, ``share``: the key under which it shares its queue fairly. ``delay``: it begins
    so much later. ``singleton``: while an unfinished run of the workflow has the same, no second one is started.
    ``debounce`` (with ``singleton``): it begins when nobody has started it again for so long, with the arguments of the
    last call. ``affinity``: runs that have the same one are executed by the same worker of a server, as long as that
    one is there and has room.
    """

    workflow_id: str | None
    queue: str | None
    priority: int | None
    share: str | None
    delay: float | timedelta | None
    singleton: str | None
    debounce: float | timedelta | None
    affinity: str | None


def start_options(given: StartOptions, workflow: str, options: RunOptions) -> StartOptions:
    """``given``, changed as ``options`` say; raises `ConfigurationError` if they contradict each other, and `TypeError`
    for one that there is not."""
    unknown = options.keys() - RunOptions.__annotations__.keys()
    if unknown:
        raise TypeError(
            f"options() has no {', '.join(sorted(unknown))}; there are {', '.join(RunOptions.__annotations__)}"
        )
    delay, singleton, debounce = options.get("delay"), options.get("singleton"), options.get("debounce")
    if singleton is not None:
        given = replace(given, singleton=f"{workflow}/{singleton}")
    if debounce is not None:
        if given.singleton is None or delay is not None:
            raise ConfigurationError("debounce= needs singleton=, and is a delay itself: give no delay=")
        given = replace(given, debounce=True, delay_us=to_us(debounce, "debounce"))
    queue, share, affinity = options.get("queue"), options.get("share"), options.get("affinity")
    priority = options.get("priority")
    return replace(
        given,
        queue=given.queue if queue is None else queue,
        priority=given.priority if priority is None else priority,
        share=given.share if share is None else share,
        delay_us=given.delay_us if delay is None else to_us(delay, "delay"),
        affinity=given.affinity if affinity is None else affinity,
    )
