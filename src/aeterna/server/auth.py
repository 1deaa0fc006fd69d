"""Who may do what: tokens, roles, and the gatekeeper that every transport asks.

A token is a long random text that its holder keeps; the store has its SHA-256 only, so that a copy of the store opens
nothing. A slow hash would add nothing: nobody guesses 256 random bits. A role includes those before it: a worker's code
may start and signal runs, and whoever may start runs may look at them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from aeterna.durable.stores.contract import TokenRow
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import AeternaError, PermissionDeniedError, UnauthenticatedError

log = logging.getLogger("aeterna.auth")

ALL = "*"
"""Stands for every namespace."""
TOKEN_CHARS_MAX = 512
STALE_US = 1_000_000
"""So long a token that another server revoked may still open this one."""
_ID_CHARS = 12


class Role(StrEnum):
    """What the holder of a token may do in its namespace.

    READ_ONLY: see that runs are there and how they do, but nothing that user code gave or returned. CLIENT: start,
    signal, query, cancel, and see everything. WORKER: execute runs, and declare queues and schedules. ADMIN: delete,
    change limits, and give out tokens."""

    READ_ONLY = "read-only"
    CLIENT = "client"
    WORKER = "worker"
    ADMIN = "admin"

    def includes(self, need: Role) -> bool:
        """Whoever has this role may do what needs the other."""
        return _RANKS[self] >= _RANKS[need]


_RANKS: Mapping[Role, int] = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who was let in. ``token``: the hash of what opened the door; b"" = the door stands open."""

    name: str
    role: Role
    namespace: str
    token: bytes = b""

    @property
    def sees_payloads(self) -> bool:
        """Arguments, results, errors and signals may be shown."""
        return self.role.includes(Role.CLIENT)

    def reaches(self, namespace: str) -> bool:
        """The token is for that namespace."""
        return self.namespace in (ALL, namespace)


ANYBODY = Identity("anybody on this machine", Role.ADMIN, ALL)
"""Whoever asks a server that only its own machine can reach and that has no tokens."""


class TokenList(Protocol):
    """Where the tokens are."""

    async def list_tokens(self) -> list[TokenRow]:
        """All of them."""
        ...


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def id_of(hash_: bytes) -> str:
    """The public name of a token: the beginning of its hash."""
    return hash_.hex()[:_ID_CHARS]


def bearer(header: str | bytes | None) -> str | None:
    """The token of an ``Authorization`` header or metadata; None if there is none. Raises `UnauthenticatedError` for
    one of another kind."""
    if header is None:
        return None
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    scheme, _, token = text.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError("the authorization is no `Bearer TOKEN`: send the token in that form")
    return token


@dataclass(frozen=True, slots=True)
class _Guest:
    token: bytes
    end: Callable[[], Awaitable[object]] | None


class Gatekeeper:
    """Decides for each request. ``given``: tokens that the server was started with, beside those in the store."""

    def __init__(self, tokens: TokenList, clock: Clock, *, needs_token: bool, given: tuple[TokenRow, ...] = ()) -> None:
        self._tokens = tokens
        self._clock = clock
        self._needs_token = needs_token
        self._given = given
        self._rows: dict[bytes, TokenRow] = {}
        self._read_us: int | None = None
        self._reading = asyncio.Lock()
        self._inside: dict[asyncio.Task[object], _Guest] = {}

    async def admit(self, token: str | None, namespace: str, need: Role) -> Identity:
        """Who it is. Raises `UnauthenticatedError` without a good token, `PermissionDeniedError` if it is not good for
        this, and the `StoreError` of a store that cannot be read."""
        identity = await self.recognize(token)
        if not identity.reaches(namespace) or not identity.role.includes(need):
            why = (
                f"it is for namespace {identity.namespace!r}, not {namespace!r}"
                if not identity.reaches(namespace)
                else f"its role is {identity.role.value!r}, and this needs {need.value!r}"
            )
            log.warning("%s was denied: %s", identity.name, why, extra={"action": "denied", "token": identity.name})
            raise PermissionDeniedError(f"{identity.name} does not allow this: {why}")
        return identity

    async def recognize(self, token: str | None) -> Identity:
        """Whose token it is, whatever it is good for; errors as in `admit`."""
        rows = await self._fresh_rows()
        if token is None:
            if self._needs_token or rows:
                raise UnauthenticatedError("this server wants a token: give one with --token or AETERNA_TOKEN")
            return ANYBODY
        row = None if len(token) > TOKEN_CHARS_MAX else _found(rows, hash_of(token))
        if row is None:
            log.warning("a token that is none was refused", extra={"action": "refused"})
            raise UnauthenticatedError("the token is unknown, or was revoked: ask the server's operator for one")
        return Identity(f"token {id_of(row.hash)}", Role(row.role), row.namespace, row.hash)

    @property
    def is_open(self) -> bool:
        """As far as is known, nobody needs a token."""
        return not self._needs_token and not self._rows

    async def warm(self) -> None:
        """Read the tokens before the first request; raises the `StoreError` of a store that cannot be read."""
        await self._fresh_rows()

    def forget(self) -> None:
        """The tokens have changed: read them anew."""
        self._read_us = None

    def stays(self, identity: Identity, end: Callable[[], Awaitable[object]] | None = None) -> None:
        """The calling task serves this identity: it is cancelled when the token is revoked, or when it had none and one
        is needed from now on. ``end``: what tells the caller, before that."""
        task: asyncio.Task[object] | None = asyncio.current_task()
        if task is not None and task not in self._inside:
            self._inside[task] = _Guest(identity.token, end)
            task.add_done_callback(lambda done: self._inside.pop(done, None))

    async def look_round(self) -> None:
        """End what was opened by tokens that were revoked meanwhile."""
        if not self._inside:
            return
        try:
            rows = await self._fresh_rows()
        except AeternaError:
            # The store cannot be read just now. Nothing is known about the tokens, so nobody is thrown out.
            return
        for task, guest in list(self._inside.items()):
            if guest.token not in rows and (guest.token or rows):
                text = f"token {id_of(guest.token)} is not valid any more: its call ends"
                log.warning(text, extra={"action": "revoked"})
                if guest.end is not None:
                    # The call may have ended by itself just now, or the caller be gone.
                    with contextlib.suppress(Exception):
                        await guest.end()
                task.cancel()

    async def _fresh_rows(self) -> dict[bytes, TokenRow]:
        if not self._is_stale():
            return self._rows
        async with self._reading:
            if self._is_stale():
                asked_us = self._clock.monotonic_us()
                found = await self._tokens.list_tokens()
                self._rows = {row.hash: row for row in (*self._given, *found)}
                self._read_us = asked_us
        return self._rows

    def _is_stale(self) -> bool:
        return self._read_us is None or self._clock.monotonic_us() - self._read_us > STALE_US


def _found(rows: Mapping[bytes, TokenRow], hash_: bytes) -> TokenRow | None:
    """The row of a hash. Every row is compared, and in full, so that the time it takes tells nothing."""
    found = None
    for row in rows.values():
        if hmac.compare_digest(row.hash, hash_):
            found = row
    return found
