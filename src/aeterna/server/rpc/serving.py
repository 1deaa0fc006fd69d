"""What the services of clients and operators have in common: who may ask what, and how errors are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.kernel.errors import AeternaError
from aeterna.server.rpc.failing import abort

Context = grpc.aio.ServicerContext[Any, Any]

Admit = Callable[[Context, str, str], Awaitable[object]]
"""Given the call, the namespace and the role that is needed; raises an error unless the caller may do that."""

READ, CLIENT, ADMIN = "read-only", "client", "admin"


async def admit_anybody(_: Context, __: str, ___: str) -> None:
    """For a server that only this machine can reach."""


class Service:
    """A service over a coordinator."""

    def __init__(self, coordinator: Coordinator, admit: Admit = admit_anybody) -> None:
        self.coordinator = coordinator
        self.admit = admit

    async def desk(self, context: Context, namespace: str, role: str) -> NamespaceDesk:
        """The namespace, if the caller may do there what needs the role."""
        await self.admit(context, namespace, role)
        return await self.coordinator.namespace(namespace or "default")


def answering(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """For a unary method: errors of ours end the call with their status."""

    async def answer(self: Service, request: Any, context: Context) -> Any:
        try:
            return await method(self, request, context)
        except (AeternaError, TimeoutError) as error:
            await abort(context, error)

    answer.__name__, answer.__doc__ = method.__name__, method.__doc__
    return answer
