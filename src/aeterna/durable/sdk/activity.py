"""What the function of an activity may ask and tell: ``from aeterna import activity``.

::

    async def index(pages: list[str]) -> int:
        done = activity.last_details(int) or 0          # an earlier attempt came so far
        for number in range(done, len(pages)):
            await index_one(pages[number])
            activity.heartbeat(number + 1)
        return len(pages)
"""

from __future__ import annotations

from typing import Any, TypeVar, overload

from aeterna.durable.core import codec
from aeterna.durable.engine.heartbeat import current_pulse

T = TypeVar("T")


def heartbeat(details: Any = None) -> None:
    """Say that this attempt lives, and how far it is; from the activity's function, in a thread too.

    ``details`` are kept, at most once a second and at the end of the attempt, and the next attempt can ask for them.
    Raises `NotDurableError` outside of an activity, `SerializationError` for details that cannot be recorded, and
    `StepTimeoutError` if the attempt is over: nobody waits for it any more."""
    current_pulse().beat(details)


@overload
def last_details() -> Any: ...
@overload
def last_details(kind: type[T]) -> T | None: ...


def last_details(kind: Any = Any) -> Any:
    """The details of the latest heartbeat, of this attempt or of an earlier one, as a ``kind``; None if there are
    none."""
    pulse = current_pulse()
    if pulse.details is None:
        return None
    return codec.decode(pulse.details, kind, f"the heartbeat of activity {pulse.name!r}")


def attempt() -> int:
    """Which attempt this is, from 1."""
    return current_pulse().attempt
