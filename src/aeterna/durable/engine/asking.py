"""Answering a query: by the run in memory, or by one that is brought to where its history ends and left again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeterna.durable.core import events as ev
from aeterna.durable.engine.background import as_callback
from aeterna.durable.engine.execution import Execution
from aeterna.kernel.errors import AeternaError, QueryFailedError, RunNotFoundError, UnknownWorkflowError

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine


async def query(engine: Engine, run_id: str, name: str, arguments: ev.Payload) -> ev.Payload:
    """See `Engine.query`."""
    runner = engine.residents.get(run_id)
    if runner is not None:
        return runner.execution.queries.answer(run_id, name, arguments, engine.options.limits.payload_bytes_max)
    row = await engine.store.get_run(run_id)
    if row is None:
        raise RunNotFoundError(f"no run has the id {run_id!r} in {engine.store.description}")
    definition = engine.program.find(row.workflow, row.version)
    if definition is None:
        raise UnknownWorkflowError(
            f"version {row.version!r} of workflow {row.workflow!r} is not registered in this process, and only its "
            "code can answer a query"
        )
    history = await engine.store.history(run_id)
    payload_bytes_max = engine.options.limits.payload_bytes_max
    execution = Execution(run_id, definition, payload_bytes_max, origin=origin_of(history))
    answers: list[ev.Payload | AeternaError] = []

    def answer() -> None:
        try:
            execution.replay(history)
            answers.append(execution.queries.answer(run_id, name, arguments, payload_bytes_max))
        except AeternaError as error:
            answers.append(error)
        finally:
            execution.close()

    await as_callback(answer)
    if not answers:
        raise QueryFailedError(f"the code of run {run_id!r} could not be brought to where its history ends")
    if isinstance(answers[0], AeternaError):
        raise answers[0]
    return answers[0]


def origin_of(history: list[ev.AnyEvent]) -> str:
    """The id that a run draws from, '' = its own (see `ev.RunCreated`)."""
    first = history[0]
    return first.origin if isinstance(first, ev.RunCreated) else ""
