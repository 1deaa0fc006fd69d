"""What the services of clients and operators have in common: who may ask what, and how errors are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.kernel.errors import AeternaError, UnauthenticatedError
from aeterna.server.auth import ANYBODY, Gatekeeper, Identity, Role, bearer
from aeterna.server.rpc.failing import abort
from aeterna.server.verbs import need_of

Context = grpc.aio.ServicerContext[Any, Any]

Admit = Callable[[Context, str, Role], Awaitable[Identity]]
"""Given the call, the namespace and the role that is needed; raises an error unless the caller may do that."""

DEFAULT_NAMESPACE = "default"


async def admit_anybody(_: Context, __: str, ___: Role) -> Identity:
    """For a server that only this machine can reach."""
    return ANYBODY


def admission(gate: Gatekeeper) -> Admit:
    """Callers are let in by the token in their call's metadata, and stay for as long as it is valid."""

    async def admit(context: Context, namespace: str, need: Role) -> Identity:
        token = bearer(
            next((value for key, value in context.invocation_metadata() or () if key == "authorization"), None)
        )
        identity = await gate.admit(token, namespace or DEFAULT_NAMESPACE, need)
        gate.stays(identity, partial(abort, context, UnauthenticatedError("the token was revoked: ask for one")))
        return identity

    return admit


class Service:
    """A service over a coordinator. Callers are admitted by `server.verbs`."""

    def __init__(self, coordinator: Coordinator, admit: Admit = admit_anybody) -> None:
        self.coordinator = coordinator
        self.admit = admit

    @property
    def payload_bytes_max(self) -> int:
        """See `Limits`."""
        return self.coordinator.options.limits.payload_bytes_max

    async def desk(self, context: Context, namespace: str, verb: str) -> NamespaceDesk:
        """The namespace, if the caller may do there what the verb does; raises `NamespaceNotFoundError`."""
        return (await self.enter(context, namespace, verb))[0]

    async def enter(self, context: Context, namespace: str, verb: str) -> tuple[NamespaceDesk, Identity]:
        """As `desk`, and who the caller is."""
        identity = await self.let_in(context, namespace, verb)
        return await self.coordinator.existing(namespace or DEFAULT_NAMESPACE), identity

    async def let_in(self, context: Context, namespace: str, verb: str) -> Identity:
        """Who the caller is, if it may do what the verb does in a namespace that need not be there."""
        return await self.admit(context, namespace, need_of(verb))

    async def made_desk(self, namespace: str) -> NamespaceDesk:
        """The namespace, which comes to be if it is not there: to be asked for once the request is known to be good, so
        that what is refused leaves nothing behind."""
        return await self.coordinator.namespace(namespace or DEFAULT_NAMESPACE)


def answering(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """For a unary method: errors of ours end the call with their status."""

    async def answer(self: Service, request: Any, context: Context) -> Any:
        try:
            return await method(self, request, context)
        except (AeternaError, TimeoutError) as error:
            await abort(context, error)

    answer.__name__, answer.__doc__ = method.__name__, method.__doc__
    return answer
