"""Who asks, in which namespace, and whether that is allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Query, Request

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.kernel.errors import NamespaceNotFoundError, UsageError
from aeterna.kernel.ids import check_run_id
from aeterna.kernel.suggestions import did_you_mean
from aeterna.server.auth import ALL, Gatekeeper, Identity, Role, bearer
from aeterna.server.security import Security


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


class Gate:
    """Admits requests to namespaces."""

    def __init__(self, coordinator: Coordinator, security: Security) -> None:
        self.coordinator = coordinator
        self.security = security
        self._door = Door(security.gate)

    def needs(self, role: Role, *, creates: bool = False) -> Callable[..., Awaitable[Caller]]:
        """A dependency that admits those who have the role. ``creates``: a namespace that is not there comes to be;
        otherwise `NamespaceNotFoundError` is raised."""

        async def admitted(
            request: Request,
            namespace: Annotated[str | None, Query(max_length=64, description="the name of the App")] = None,
        ) -> Caller:
            name = self._only_namespace(await self.recognize(request)) if namespace is None else namespace
            identity = await self._door.admit(request, name, role)
            if not creates and namespace is not None:
                await self._require(name)
            return Caller(await self.coordinator.namespace(name), identity)

        return admitted

    async def admit(self, request: Request, namespace: str, need: Role) -> Identity:
        """As `needs`, for what needs no desk."""
        return await self._door.admit(request, namespace, need)

    async def recognize(self, request: Request) -> Identity:
        """Whose request it is."""
        return await self._door.recognize(request)

    async def names(self) -> list[str]:
        """The namespaces that there are, those of other servers of the store, too."""
        return sorted({*await self.coordinator.namespaces.names(), *self.coordinator.desks})

    async def _require(self, name: str) -> None:
        if name not in self.coordinator.desks and name not in await self.names():
            hint = did_you_mean(name, self.coordinator.desks)
            raise NamespaceNotFoundError(f"there is no namespace {name!r} here{hint}")

    def _only_namespace(self, identity: Identity) -> str:
        if identity.namespace != ALL:
            return identity.namespace
        known = sorted(self.coordinator.desks)
        if len(known) == 1:
            return known[0]
        if not known:
            return "default"
        raise UsageError(f"say which namespace is meant, with ?namespace=: there are {', '.join(known)}")


def run_id(
    run_id: Annotated[str, Path(description="percent-encoded, also its slashes: a child's id has some")],
) -> str:
    """The id in a path, which is not decoded before it is taken apart."""
    try:
        return check_run_id(unquote(run_id, errors="strict"))
    except UnicodeDecodeError:
        raise UsageError(f"{run_id!r} is no percent-encoded UTF-8") from None


RunId = Annotated[str, Depends(run_id)]
