"""Leaving a message in a run's inbox, and telling whoever has the run."""

from __future__ import annotations

from aeterna.durable.core.events import Payload
from aeterna.durable.operations.world import World
from aeterna.durable.stores.contract import MessageKind, Notice, NoticeKind, Post, Posted, Refused
from aeterna.kernel.errors import InvalidStateError, InvariantError, RunNotFoundError

NOTHING = Payload(b"jnull")


async def post(
    world: World, run_id: str, kind: MessageKind, name: str = "", *, payload: Payload = NOTHING, message_id: str = ""
) -> bool:
    """Returns once the message is durable; False if it was there, or had been, before.

    Raises `RunNotFoundError`, or `InvalidStateError` if the run has ended."""
    outcome = await world.commit(Post(run_id, message_id, kind, name, payload, world.clock.now_us()))
    match outcome:
        case Posted():
            # A run that nobody has may be claimed now; otherwise its owner is told.
            world.announce(Notice(NoticeKind.RUNS if outcome.owner is None else NoticeKind.INBOX, run_id))
            return not outcome.is_duplicate
        case Refused(None):
            raise RunNotFoundError(f"no run has the id {run_id!r} in {world.store.description}")
        case Refused(row):
            assert row is not None
            raise InvalidStateError(f"run {run_id!r} is {row.state.value} already: nothing can be sent to it")
        case _:
            raise InvariantError(f"the store answered {outcome!r} to a message")
