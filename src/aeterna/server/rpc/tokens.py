"""The calls of AdminService about tokens."""

from __future__ import annotations

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.stores.contract import TokenRow
from aeterna.durable.wire.generated import admin_pb2 as pb
from aeterna.kernel.errors import UnavailableError
from aeterna.server.auth import ALL, id_of
from aeterna.server.rpc.serving import Admit, Context, Service, admit_anybody, answering
from aeterna.server.security import Security


class TokenCalls(Service):
    """Give out, take back, list. An admin of one namespace manages the tokens of that namespace."""

    # ruff: noqa: N802 - methods are named as in the proto

    def __init__(
        self, coordinator: Coordinator, admit: Admit = admit_anybody, security: Security | None = None
    ) -> None:
        super().__init__(coordinator, admit)
        self._held = security

    @answering
    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.CreateTokenResponse:
        """A new token, shown this once."""
        namespace = request.namespace or ALL
        await self.let_in(context, namespace, "create_token")
        security = self._security()
        token, row = await security.book.create(namespace, request.role, request.note)
        security.gate.forget()
        return pb.CreateTokenResponse(token=token, hash=id_of(row.hash))

    @answering
    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Context) -> pb.RevokeTokenResponse:
        """Nobody gets in with it any more, and whoever is in with it is thrown out."""
        identity = await self.let_in(context, request.namespace or ALL, "revoke_token")
        security = self._security()
        await security.book.revoke(request.hash, identity)
        security.gate.forget()
        return pb.RevokeTokenResponse(existed=True)

    @answering
    async def ListTokens(self, request: pb.ListTokensRequest, context: Context) -> pb.ListTokensResponse:
        """Those of the namespaces that the caller administers."""
        identity = await self.let_in(context, request.namespace or ALL, "list_tokens")
        rows = await self._security().book.list_tokens()
        return pb.ListTokensResponse(tokens=[_info(row) for row in rows if identity.reaches(row.namespace)])

    def _security(self) -> Security:
        if self._held is None:
            raise UnavailableError("this server manages no tokens")
        return self._held


def _info(row: TokenRow) -> pb.TokenInfo:
    return pb.TokenInfo(
        hash=id_of(row.hash), namespace=row.namespace, role=row.role, created_us=row.created_us, note=row.note
    )
