"""Tokens over HTTP; as the calls of AdminService."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from aeterna.server.auth import ALL
from aeterna.server.http import standing
from aeterna.server.http.bodies import Body
from aeterna.server.http.gate import TheGate
from aeterna.server.tokens import record_of

Json = dict[str, Any]
Namespace = Annotated[str | None, Query(max_length=64, description="whose tokens; absent: those of all namespaces")]


class NewToken(Body):
    """Give out a token."""

    namespace: str = Field(ALL, min_length=1, max_length=64)
    role: str = Field(max_length=20)
    note: str = Field("", max_length=1_000)


router = APIRouter(tags=["tokens"])


@router.get("/tokens", response_model=standing.Tokens)
async def list_tokens(request: Request, gate: TheGate, namespace: Namespace = None) -> Json:
    """The tokens that the caller administers, without their secrets."""
    identity = await gate.admit(request, namespace or ALL, "list_tokens")
    rows = await gate.security.book.list_tokens()
    return {"tokens": [record_of(row) for row in rows if identity.reaches(row.namespace)]}


@router.post("/tokens", status_code=201, response_model=standing.NewToken)
async def create_token(request: Request, gate: TheGate, body: NewToken) -> Json:
    """A new token, shown this once."""
    await gate.admit(request, body.namespace, "create_token")
    token, row = await gate.security.book.create(body.namespace, body.role, body.note)
    gate.security.gate.forget()
    return {**record_of(row), "token": token}


@router.delete("/tokens/{token_id}", response_model=standing.Token)
async def revoke_token(request: Request, gate: TheGate, token_id: str, namespace: Namespace = None) -> Json:
    """Take a token back."""
    identity = await gate.admit(request, namespace or ALL, "revoke_token")
    row = await gate.security.book.revoke(token_id, identity)
    gate.security.gate.forget()
    return record_of(row)
