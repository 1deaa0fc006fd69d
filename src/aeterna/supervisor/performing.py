"""Performs the decisions about one service.

An action that is waited for is carried out in a task, in order with the others of its decision, and the task ends in
one event: OK, FAIL or MISSING. All others are done before that task begins.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from aeterna.kernel.errors import AeternaError
from aeterna.supervisor.actions.births import Births
from aeterna.supervisor.actions.departures import Departures
from aeterna.supervisor.actions.outcomes import Outcomes
from aeterna.supervisor.actions.switch import Switch
from aeterna.supervisor.actions.tables import Actions, Ask, Do
from aeterna.supervisor.core.records import Decision, Step
from aeterna.supervisor.core.vocabulary import Action, Kind
from aeterna.supervisor.host.logs import Level
from aeterna.supervisor.moving import MissingStateError

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service


class Performer:
    """Performs for one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._work: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._tending: asyncio.Task[None] | None = None
        parts: tuple[Actions, ...] = (Births(service), Switch(service), Departures(service), Outcomes(service))
        self._does: Mapping[Action, Do] = {
            Action.CANCEL_WORK: lambda _: self._cancel_work(),
            **{action: do for part in parts for action, do in part.does.items()},
        }
        self._asks: Mapping[Action, Ask] = {action: ask for part in parts for action, ask in part.asks.items()}

    def perform(self, decision: Decision) -> None:
        """Do what a decision asks for. Actions that only the core keeps book of are in neither table."""
        asked: list[Step] = []
        for step in decision.steps:
            if step.action in self._asks:
                asked.append(step)
            elif step.action in self._does:
                self._does[step.action](step.generation)
        if asked:
            self._cancel_work()
            self._work = self.in_background(self._carry_out(asked, decision.machine.txn))
        self.tend()

    async def _carry_out(self, asked: list[Step], txn: int) -> None:
        kind, reason = Kind.OK, ""
        try:
            for step in asked:
                await self._asks[step.action](step.generation)
        except MissingStateError as error:
            kind, reason = Kind.MISSING, str(error)
        except AeternaError as error:
            kind, reason = Kind.FAIL, str(error)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must end in a verdict, not in a service that waits for ever
            self._service.house.say(traceback.format_exc(), self._service.name, level=Level.ERROR)
            kind, reason = Kind.FAIL, f"internal error: {error!r}"
        self._work = None
        self._service.say(kind, reason, txn=txn)

    def _cancel_work(self) -> None:
        work, self._work = self._work, None
        if work is not None and work is not asyncio.current_task():
            work.cancel()

    # --- tasks -------------------------------------------------------------------------------------------------------

    def in_background(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Carry something on until it ends or the service is closed."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            text = "".join(traceback.format_exception(error))
            self._service.house.say(f"internal error\n{text}", self._service.name, level=Level.ERROR)

    def tend(self) -> None:
        """Pass on what lands on a colour that nobody accepts from."""
        if self._tending is None or self._tending.done():
            self._tending = self.in_background(self._tend())

    async def _tend(self) -> None:
        service, tended = self._service, None
        while tended != (now := (service.served_colours(), service.traffic.percent)):
            await service.traffic.tend(now[0])
            tended = now

    async def close(self) -> None:
        """Cancel everything that is under way."""
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
