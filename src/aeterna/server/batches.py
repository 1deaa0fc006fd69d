"""Many starts in one request, each answered for itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.operations.batch_start import batch_start
from aeterna.durable.operations.start import StartReply, StartRequest
from aeterna.kernel.errors import AeternaError


def attempted(check: Callable[[], StartRequest]) -> StartRequest | AeternaError:
    """The request that ``check`` makes, or why it is none."""
    try:
        return check()
    except AeternaError as error:
        return error


async def start_those(
    desk: Callable[[], Awaitable[NamespaceDesk]], wanted: Sequence[StartRequest | AeternaError]
) -> list[StartReply | AeternaError]:
    """Start what can be; one answer for each, in their order. The namespace comes to be with the first that can."""
    requests = [each for each in wanted if isinstance(each, StartRequest)]
    replies = iter(await batch_start(await desk(), requests) if requests else ())
    return [next(replies) if isinstance(each, StartRequest) else each for each in wanted]
