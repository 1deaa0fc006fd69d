"""Tokens over HTTP; as the calls of AdminService."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from aeterna.server.auth import ALL
from aeterna.server.http.bodies import Body
from aeterna.server.http.gate import Gate
from aeterna.server.rpc.serving import ADMIN
from aeterna.server.tokens import record_of

Json = dict[str, Any]
Namespace = Annotated[str | None, Query(max_length=64, description="whose tokens; absent: those of all namespaces")]


class NewToken(Body):
    """Give out a token."""

    namespace: str = Field(ALL, min_length=1, max_length=64)
    role: str = Field(max_length=20)
    note: str = Field("", max_length=1_000)


def token_routes(gate: Gate) -> APIRouter:
    """Give out, list, take back."""
    router = APIRouter(tags=["tokens"])

    @router.get("/tokens")
    async def list_tokens(request: Request, namespace: Namespace = None) -> Json:
        """The tokens that the caller administers, without their secrets."""
        identity = await gate.admit(request, namespace or ALL, ADMIN)
        rows = await gate.security.book.list_tokens()
        return {"tokens": [record_of(row) for row in rows if identity.reaches(row.namespace)]}

    @router.post("/tokens", status_code=201)
    async def create_token(request: Request, body: NewToken) -> Json:
        """A new token, shown this once."""
        await gate.admit(request, body.namespace, ADMIN)
        token, row = await gate.security.book.create(body.namespace, body.role, body.note)
        gate.security.gate.forget()
        return {**record_of(row), "token": token}

    @router.delete("/tokens/{token_id}")
    async def revoke_token(request: Request, token_id: str, namespace: Namespace = None) -> Json:
        """Take a token back."""
        identity = await gate.admit(request, namespace or ALL, ADMIN)
        row = await gate.security.book.revoke(token_id, identity)
        gate.security.gate.forget()
        return record_of(row)

    return router
