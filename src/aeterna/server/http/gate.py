"""Who asks, in which namespace, and whether that is allowed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Path, Query, Request

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.stores.contract import RunRow
from aeterna.kernel.errors import NamespaceNotFoundError, UsageError
from aeterna.kernel.ids import check_run_id
from aeterna.server.auth import ALL, Gatekeeper, Identity, Role, bearer
from aeterna.server.http.records import run_record
from aeterna.server.incoming import check_name
from aeterna.server.redaction import seen_by
from aeterna.server.security import Security
from aeterna.server.verbs import need_of

Namespace = Annotated[str | None, Query(max_length=64, description="the name of the App", examples=["orders"])]


class Door:
    """Lets requests in by the token in their ``Authorization``, for as long as that is valid."""

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper

    async def recognize(self, request: Request) -> Identity:
        """Whose request it is; raises `UnauthenticatedError`."""
        return await self._gatekeeper.recognize(bearer(request.headers.get("authorization")))

    async def admit(self, request: Request, namespace: str, need: Role) -> Identity:
        """See `Gatekeeper.admit`."""
        identity = await self._gatekeeper.admit(bearer(request.headers.get("authorization")), namespace, need)
        self._gatekeeper.stays(identity)
        return identity


@dataclass(frozen=True, slots=True)
class Caller:
    """One admitted request."""

    desk: NamespaceDesk
    identity: Identity

    def run(self, row: RunRow) -> dict[str, Any]:
        """A run's row as this caller may see it."""
        return run_record(seen_by(self.identity, row), self.desk.name)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One admitted request for what may make its namespace."""

    coordinator: Coordinator
    namespace: str
    identity: Identity

    async def desk(self) -> NamespaceDesk:
        """The namespace, which comes to be if it is not there: to be asked for once the request is known to be good, so
        that what is refused leaves nothing behind."""
        return await self.coordinator.namespace(self.namespace)

    async def known_desk(self) -> NamespaceDesk | None:
        """The namespace, if it is there."""
        with suppress(NamespaceNotFoundError):
            return await self.coordinator.existing(self.namespace)
        return None

    @property
    def payload_bytes_max(self) -> int:
        """See `Limits`."""
        return self.coordinator.options.limits.payload_bytes_max


class Gate:
    """Admits requests to namespaces."""

    def __init__(self, coordinator: Coordinator, security: Security) -> None:
        self.coordinator = coordinator
        self.security = security
        self._door = Door(security.gate)

    async def admit_to(self, request: Request, namespace: str | None, verb: str) -> tuple[str, Identity]:
        """The namespace that is meant (None: the only one), and who asks; raises as `Gatekeeper.admit`."""
        name = self._only_namespace(await self.recognize(request)) if namespace is None else namespace
        return name, await self.admit(request, name, verb)

    async def admit(self, request: Request, namespace: str, verb: str) -> Identity:
        """Who asks, for a verb that needs no namespace's desk; raises as `Gatekeeper.admit`."""
        return await self._door.admit(request, namespace, need_of(verb))

    async def recognize(self, request: Request) -> Identity:
        """Whose request it is."""
        return await self._door.recognize(request)

    async def names(self) -> list[str]:
        """The namespaces that there are, those of other servers of the store, too."""
        return sorted({*await self.coordinator.namespaces.names(), *self.coordinator.desks})

    def _only_namespace(self, identity: Identity) -> str:
        if identity.namespace != ALL:
            return identity.namespace
        known = sorted(self.coordinator.desks)
        if len(known) == 1:
            return known[0]
        if not known:
            return "default"
        raise UsageError(f"say which namespace is meant, with ?namespace=: there are {', '.join(known)}")


def _gate_of(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


TheGate = Annotated[Gate, Depends(_gate_of)]


def may(verb: str) -> Any:
    """The default of a route's `Caller`: a dependency that admits those who may do what the verb does, to a namespace
    that is there; otherwise `NamespaceNotFoundError` is raised."""

    async def admitted(request: Request, gate: TheGate, namespace: Namespace = None) -> Caller:
        name, identity = await gate.admit_to(request, namespace, verb)
        return Caller(await gate.coordinator.existing(name), identity)

    return Depends(admitted)


def may_make(verb: str) -> Any:
    """As `may`, for a `Newcomer`: what makes a namespace that is not there."""

    async def admitted(request: Request, gate: TheGate, namespace: Namespace = None) -> Newcomer:
        name, identity = await gate.admit_to(request, namespace, verb)
        return Newcomer(gate.coordinator, name, identity)

    return Depends(admitted)


def _decoded(text: str) -> str:
    """A part of a path, which is not decoded before the path is taken apart."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError(f"{text!r} is no percent-encoded UTF-8") from None


def run_id(
    run_id: Annotated[str, Path(description="percent-encoded, also its slashes: a child's id has some")],
) -> str:
    """The run's id in a path; raises `UsageError` for one that cannot be."""
    return check_run_id(_decoded(run_id))


def queue_name(name: Annotated[str, Path(description="the queue's name, percent-encoded")]) -> str:
    """The queue's name in a path; raises `UsageError` for one that cannot be."""
    return check_name("queue", _decoded(name))


def schedule_id(schedule_id: Annotated[str, Path(description="the schedule's id, percent-encoded")]) -> str:
    """The schedule's id in a path; which one can be, the operation says."""
    return _decoded(schedule_id)


RunId = Annotated[str, Depends(run_id)]
QueueName = Annotated[str, Depends(queue_name)]
ScheduleId = Annotated[str, Depends(schedule_id)]
