"""One run, seen from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aeterna.durable.core import codec
from aeterna.durable.core.fold import Run
from aeterna.durable.core.states import State
from aeterna.durable.engine.failures import rebuild_error
from aeterna.durable.operations.await_result import await_result
from aeterna.durable.operations.cancel import cancel
from aeterna.durable.operations.describe import describe
from aeterna.durable.operations.fork import fork, position_of_step
from aeterna.durable.operations.pause import pause
from aeterna.durable.operations.query import query
from aeterna.durable.operations.resume import resume
from aeterna.durable.operations.signal import signal
from aeterna.durable.operations.terminate import terminate
from aeterna.durable.stores.contract import RunRow
from aeterna.kernel.errors import (
    InvariantError,
    SerializationError,
    StepFailed,
    UsageError,
    WorkflowCancelledError,
    WorkflowFailedError,
)

if TYPE_CHECKING:
    from aeterna.durable.sdk.app import App

R = TypeVar("R")

QUERY_S_MAX = 10.0


class Handle(Generic[R]):
    """One run, seen from outside."""

    def __init__(self, app: App, run_id: str, result_type: Any = Any) -> None:
        self.id = run_id
        self._app = app
        self._result_type = result_type

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - the run goes on when the wait ends
        """The result of the run, once it has completed.

        Raises `WorkflowFailedError` (its cause is the workflow's own error where that can be rebuilt),
        `WorkflowCancelledError`, `TimeoutError` after ``timeout`` seconds (the run goes on, or is stuck, as it says),
        or what keeps the run from ending here."""
        # A run in this process's memory is not asked for elsewhere.
        world = await self._app.own_world(self.id) or await self._app.world()
        run = await await_result(world, self.id, timeout)
        return outcome_of(self.id, run, self._result_type)  # type: ignore[no-any-return]

    async def status(self) -> RunRow:
        """The run's row as of its last commit: state, detail, times."""
        return await describe((await self._app.world()).store, self.id)

    async def signal(self, name: str, payload: Any = None, *, id: str = "") -> None:  # noqa: A002 - as users say it
        """Send the run a signal; returns once that is durable, whether the run waits for it or not.

        ``id``: a second signal of the same id is the first one, so that sending can be repeated. Raises
        `RunNotFoundError`, `InvalidStateError` if the run has ended, and `SerializationError`."""
        encoded = codec.encode(payload, f"the payload of signal {name!r}", self._app.limits.payload_bytes_max)
        await signal(await self._app.world(), self.id, name, encoded, id)

    async def query(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What the run's code answers to a query (see `Context.query`); in JSON types.

        Raises `UsageError` if it answers no such query, and `QueryFailedError`."""
        what = f"query {name!r}"
        arguments = codec.encode([list(args), kwargs], f"the arguments of {what}", self._app.limits.payload_bytes_max)
        answer = await query(await self._app.world(), self.id, name, arguments, QUERY_S_MAX)
        return codec.decode(answer, Any, f"the answer to {what}")

    async def cancel(self, reason: str = "") -> None:
        """Ask the run to cancel; returns once the request is durable."""
        own_world = await self._app.own_world(self.id)
        if own_world is not None:
            # It also sees to a run that is not in memory, or cannot be.
            await own_world.cancel(self.id, reason)
        else:
            await cancel(await self._app.world(), self.id, reason)

    async def pause(self, reason: str = "") -> None:
        """Ask the run to pause: steps under way end and are recorded, nothing new begins until `resume`."""
        await pause(await self._app.world(), self.id, reason)

    async def resume(self) -> None:
        """Let a paused run go on, or have a stuck one tried again."""
        await resume(await self._app.world(), self.id)

    async def terminate(self, reason: str = "") -> None:
        """End the run at once, without its workflow seeing it: nothing is cleaned up. Prefer `cancel`."""
        await terminate(await self._app.world(), self.id, reason)

    async def fork(
        self, position: int | None = None, *, from_step: str | None = None, occurrence: int = 1, step: int | None = None
    ) -> Handle[R]:
        """Start a new run that has everything this one had recorded before event number ``position`` of its history,
        or before it recorded anything of the ``occurrence``-th step named ``from_step``, which is executed again.

        ``step``: an earlier name of ``position``. Raises `UsageError` unless exactly one of them is given, and for what
        the history does not have."""
        world = await self._app.world()
        given = [each for each in (position, from_step, step) if each is not None]
        if len(given) != 1:
            raise UsageError(
                "a fork needs the number of an event, or the name of a step: fork(4) or fork(from_step='pay')"
            )
        number = position if step is None else step
        if number is None:
            number = await position_of_step(world, self.id, str(from_step), occurrence)
        forked = await fork(world, self.id, number)
        return Handle(self._app, forked, self._result_type)

    def __repr__(self) -> str:
        return f"<run {self.id!r}>"


def outcome_of(run_id: str, run: Run, result_type: Any = Any) -> Any:
    """The result of an ended run, or its error raised."""
    match run.state:
        case State.COMPLETED:
            assert run.result is not None
            return codec.decode(run.result, result_type, f"the result of run {run_id!r}")
        case State.CANCELLED:
            raise WorkflowCancelledError(
                f"run {run_id!r} was cancelled" + (f": {run.cancel_reason}" if run.cancel_reason else "")
            )
        case State.FAILED:
            assert run.error is not None
            record = run.error
            error = WorkflowFailedError(run_id, record.type.replace(":", "."), record.message, record.traceback)
            try:
                cause = rebuild_error(record, run.workflow)
            except SerializationError:
                raise error from None
            raise error from (None if isinstance(cause, StepFailed) else cause)
        case _:
            raise InvariantError(f"run {run_id!r} was published in state {run.state}")
