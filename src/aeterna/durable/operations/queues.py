"""Queues and their limits."""

from __future__ import annotations

from msgspec import structs

from aeterna.durable.operations.world import World, forwarded
from aeterna.durable.stores.contract import Notice, NoticeKind, QueueRow, QueueState
from aeterna.kernel.errors import ConfigurationError, QueueNotFoundError

NAME_CHARS_MAX = 256
COUNT_MAX = 2**31 - 1
PERIOD_US_MAX = 366 * 86_400 * 1_000_000


def check_queue(queue: QueueRow) -> None:
    """Raise `ConfigurationError` for limits that mean nothing."""
    if not 0 < len(queue.name) <= NAME_CHARS_MAX or not queue.name.isprintable():
        raise ConfigurationError(
            f"queue name {queue.name!r} cannot be: use 1 to {NAME_CHARS_MAX} characters that can be printed"
        )
    for name, count in (
        ("concurrency", queue.concurrency),
        ("concurrency_per_share", queue.concurrency_per_share),
        ("rate", queue.rate),
        ("burst", queue.burst),
    ):
        if count is not None and not 0 < count <= COUNT_MAX:
            raise ConfigurationError(
                f"queue {queue.name!r}: {name} is {count}; use 1 to {COUNT_MAX}, or none for no limit "
                "(to let nothing start, pause the queue)"
            )
    if not 0 < queue.rate_period_us <= PERIOD_US_MAX:
        raise ConfigurationError(
            f"queue {queue.name!r}: the period of its rate is {queue.rate_period_us} us; use 1 to {PERIOD_US_MAX}"
        )


@forwarded
async def put_queue(world: World, queue: QueueRow) -> None:
    """Create a queue or change its limits, which holds for what starts from now on; raises `ConfigurationError`."""
    check_queue(queue)
    await world.store.put_queue(queue)
    world.announce(Notice(NoticeKind.RUNS, queue.name))


async def declare_queue(world: World, queue: QueueRow) -> None:
    """As `put_queue`, but a queue that was paused stays paused, and one that is as declared is left alone."""
    known = await find_queue(world, queue.name)
    wanted = queue if known is None else structs.replace(queue, is_paused=known.queue.is_paused)
    if known is None or known.queue != wanted:
        await put_queue(world, wanted)


@forwarded
async def delete_queue(world: World, name: str) -> bool:
    """Forget the limits of a queue; what waits in it may start. False if it had none."""
    was_there = await world.store.delete_queue(name)
    world.announce(Notice(NoticeKind.RUNS, name))
    return was_there


@forwarded
async def list_queues(world: World) -> list[QueueState]:
    """All queues that were put or have unfinished runs, by name."""
    return await world.store.list_queues()


async def find_queue(world: World, name: str) -> QueueState | None:
    """How one queue stands; None if it was never put and has no unfinished runs."""
    return next((state for state in await list_queues(world) if state.queue.name == name), None)


async def get_queue(world: World, name: str) -> QueueState:
    """How one queue stands; raises `QueueNotFoundError` if it was never put and has no unfinished runs."""
    state = await find_queue(world, name)
    if state is None:
        raise QueueNotFoundError(f"there is no queue {name!r}")
    return state


@forwarded
async def pause_queue(world: World, name: str) -> None:
    """Let nothing of this queue start until it is resumed; what has started goes on."""
    await _set_paused(world, name, is_paused=True)


@forwarded
async def resume_queue(world: World, name: str) -> None:
    """Let runs of this queue start again."""
    await _set_paused(world, name, is_paused=False)


async def _set_paused(world: World, name: str, *, is_paused: bool) -> None:
    state = await find_queue(world, name)
    if state is None and not is_paused:
        raise QueueNotFoundError(f"there is no queue {name!r}")
    queue = QueueRow(name) if state is None else state.queue
    await put_queue(world, structs.replace(queue, is_paused=is_paused))
