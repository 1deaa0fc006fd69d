"""How many runs are in which state, as GetMetrics and ``/api/metrics`` say it."""

from __future__ import annotations

from aeterna.durable.core.states import State
from aeterna.durable.engine.coordinator.desk import NamespaceDesk


async def count_by_state(desk: NamespaceDesk) -> dict[str, int]:
    """By the names of the states, and ``active`` for those that have not ended."""
    counts = await desk.store.count_runs()
    by_name = {state.value.lower(): counts.get(state, 0) for state in State}
    return {"active": by_name["pending"] + by_name["running"], **by_name}
