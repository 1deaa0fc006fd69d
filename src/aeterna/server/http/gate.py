"""Who asks, in which namespace, and whether that is allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Protocol
from urllib.parse import unquote

from fastapi import Depends, Path, Query, Request

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.kernel.errors import NamespaceNotFoundError, UsageError
from aeterna.kernel.ids import check_run_id
from aeterna.kernel.suggestions import did_you_mean


class Identity(Protocol):
    """Who was admitted."""

    @property
    def sees_payloads(self) -> bool:
        """Whether arguments, results and errors are for this caller."""
        ...


Admit = Callable[[Request, str, str], Awaitable[Identity]]
"""Given the request, the namespace and the role that is needed; raises an error unless the caller may do that."""


@dataclass(frozen=True, slots=True)
class Anybody:
    """Whoever can reach a server that only this machine can reach."""

    sees_payloads: bool = True


async def admit_anybody(_: Request, __: str, ___: str) -> Identity:
    """For a server that only this machine can reach."""
    return Anybody()


@dataclass(frozen=True, slots=True)
class Caller:
    """One admitted request."""

    desk: NamespaceDesk
    identity: Identity


class Gate:
    """Admits requests to namespaces."""

    def __init__(self, coordinator: Coordinator, admit: Admit = admit_anybody) -> None:
        self.coordinator = coordinator
        self._admit = admit

    def needs(self, role: str, *, creates: bool = False) -> Callable[..., Awaitable[Caller]]:
        """A dependency that admits those who have the role. ``creates``: a namespace that is not there comes to be;
        otherwise `NamespaceNotFoundError` is raised."""

        async def admitted(
            request: Request,
            namespace: Annotated[str | None, Query(max_length=64, description="the name of the App")] = None,
        ) -> Caller:
            name = self._namespace(namespace)
            identity = await self._admit(request, name, role)
            if not creates and namespace is not None:
                await self._require(name)
            return Caller(await self.coordinator.namespace(name), identity)

        return admitted

    async def admit(self, request: Request, role: str) -> Identity:
        """As `needs`, for what is about the whole server."""
        return await self._admit(request, "*", role)

    async def names(self) -> list[str]:
        """The namespaces that there are, those of other servers of the store, too."""
        return sorted({*await self.coordinator.namespaces.names(), *self.coordinator.desks})

    async def _require(self, name: str) -> None:
        if name not in self.coordinator.desks and name not in await self.names():
            hint = did_you_mean(name, self.coordinator.desks)
            raise NamespaceNotFoundError(f"there is no namespace {name!r} here{hint}")

    def _namespace(self, given: str | None) -> str:
        if given is not None:
            return given
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
