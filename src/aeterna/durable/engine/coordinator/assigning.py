"""Runs that clients create, and that have to wait for nothing: they become a worker's own in the write that creates
them, which saves the claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import structs

from aeterna.durable.core.states import Detail, State
from aeterna.durable.engine.coordinator.attached import Attached, Delivery
from aeterna.durable.engine.coordinator.balancer import Balancer
from aeterna.durable.engine.coordinator.preferences import Preferences, affinity_of
from aeterna.durable.engine.coordinator.sessions import Sessions
from aeterna.durable.stores.contract import Created, CreateRun, RunRow, Sealed


def roomiest(attached: Iterable[Attached]) -> Attached | None:
    """The one with the most room; None if none has any."""
    return max((one for one in attached if one.room > 0), key=lambda one: one.room, default=None)


class Assigning:
    """Chooses the worker of a new run. ``look``: is called when a run needs another one after all."""

    def __init__(
        self, sessions: Sessions, preferences: Preferences, balancer: Balancer, look: Callable[[], None]
    ) -> None:
        self._sessions = sessions
        self._preferences = preferences
        self._balancer = balancer
        self._look = look

    def assign(self, write: CreateRun) -> tuple[CreateRun, Attached] | None:
        """The creation as one of a worker's own, and the worker; None if the run has to wait for its turn, or nobody
        has room. Its place is taken; `assigned` or `unassigned` follows."""
        is_plain = (
            write.owner is None
            and write.state is State.PENDING
            and write.detail is not Detail.PAUSED
            and not write.queue
            and not write.requires
            and write.wake_us is None
            and write.singleton is None
        )
        if not is_plain:
            return None
        fitting = [one for one in self._sessions if one.room > 0 and one.can_execute(write.workflow, write.version)]
        affinity = "" if isinstance(write.events, Sealed) else affinity_of(write.events)
        best = self._preferences.bound(affinity, fitting) if affinity else roomiest(self._balancer.not_giving(fitting))
        if best is None:
            return None
        best.room -= 1
        return structs.replace(write, owner=best.number, detail=Detail.LEASED), best

    def assigned(self, write: CreateRun, created: Created, attached: Attached) -> None:
        """The run was created and belongs to the worker."""
        if attached.is_over:
            self._look()
            return
        events = write.events
        assert not isinstance(events, Sealed)
        row = RunRow(
            key=created.key,
            id=write.id,
            workflow=write.workflow,
            version=write.version,
            state=write.state,
            detail=write.detail,
            created_us=events[0].at_us,
            updated_us=max(events[0].at_us, events[-1].at_us),
            length=len(events),
            epoch=created.epoch,
            owner=attached.number,
            parent=write.parent,
            priority=write.priority,
            share=write.share,
        )
        self._sessions.hold(attached, row.key, row.id, row.parent)
        attached.outlet.deliver(Delivery(row, events))

    def unassigned(self, attached: Attached) -> None:
        """The run was not created."""
        if not attached.is_over:
            attached.room += 1
