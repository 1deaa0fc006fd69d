"""The schedules of a store that no server looks after: the engines that work on it fire them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aeterna.durable.engine.coordinator.schedules import ScheduleService
from aeterna.durable.stores.contract import FullStore, Notice, Outcome, Write
from aeterna.kernel.clock import Clock

if TYPE_CHECKING:
    from aeterna.durable.engine.engine import Engine


class EngineDesk:
    """An engine as the schedules see it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def store(self) -> FullStore:
        """The engine's; one that a server keeps is no registry, and is not served."""
        return cast("FullStore", self._engine.store)

    @property
    def clock(self) -> Clock:
        """The engine's."""
        return self._engine.clock

    @property
    def session(self) -> int:
        """The engine's, of the moment."""
        return self._engine.session

    async def commit(self, write: Write) -> Outcome:
        """With the engine's next commit."""
        outcome: Outcome = await self._engine.journal.request(write)
        return outcome

    def announce(self, *notices: Notice) -> None:
        """To this engine and the others."""
        self._engine.lookout.announce(*notices)


class OwnSchedules:
    """Serves them for as long as the engine lives, if they are its business."""

    def __init__(self, engine: Engine) -> None:
        self._is_needed = engine.options.tends_store
        self._service = ScheduleService(EngineDesk(engine))
        self.hear = self._service.on_notice

    async def serve(self) -> None:
        """Fire for ever; ends by cancellation, or at once."""
        if self._is_needed:
            await self._service.serve()
