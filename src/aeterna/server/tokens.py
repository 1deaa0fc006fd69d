"""Giving out tokens and taking them back, and the list of them."""

from __future__ import annotations

from collections.abc import Sequence

from aeterna.durable.stores.contract import FullStore, Namespaces, TokenRow
from aeterna.kernel.clock import Clock
from aeterna.kernel.errors import InvalidStateError, LimitExceededError, PermissionDeniedError, UsageError
from aeterna.kernel.ids import new_token
from aeterna.server.auth import ALL, Identity, Role, hash_of, id_of
from aeterna.server.incoming import check_reason

TOKENS_MAX = 1_000
GIVEN_CHARS_MIN = 32
_FALLBACK = "default"


class TokenBook:
    """The tokens of a place, which every one of its stores can read."""

    def __init__(self, namespaces: Namespaces, clock: Clock) -> None:
        self._namespaces = namespaces
        self._clock = clock
        self._store: FullStore | None = None

    async def list_tokens(self) -> list[TokenRow]:
        """All of them."""
        if self._store is None and not await self._namespaces.names():
            return []
        return await (await self._any_store()).list_tokens()

    async def create(self, namespace: str, role: str, note: str = "") -> tuple[str, TokenRow]:
        """A new token, which nobody can be shown again, and what is kept of it.

        Raises `UsageError` for a role that is none, `InvalidStateError` if nobody could manage the tokens then, and
        `LimitExceededError` if there are too many."""
        wanted = _role(role)
        check_reason(note)
        if not namespace or not namespace.isprintable() or len(namespace) > 64:
            raise UsageError(f"namespace {namespace!r} cannot be: the name of an app, or {ALL!r} for all")
        rows = await self.list_tokens()
        if len(rows) >= TOKENS_MAX:
            raise LimitExceededError(f"there are {TOKENS_MAX} tokens, the limit: revoke those that nobody uses")
        if not (wanted is Role.ADMIN and namespace == ALL) and not any(map(_manages, rows)):
            raise InvalidStateError(
                "the first token is one that can manage the others: create one with role 'admin' for all namespaces "
                "first. From then on the server wants a token from everybody"
            )
        token = new_token()
        row = TokenRow(hash_of(token), namespace, wanted.value, self._clock.now_us(), note)
        await (await self._any_store()).put_token(row)
        return token, row

    async def revoke(self, token_id: str, by: Identity) -> TokenRow:
        """Take a token back, named by its id. Raises `UsageError` if there is none, `InvalidStateError` for the last
        one that can manage the others, and `PermissionDeniedError` for one of a namespace out of reach."""
        rows = await self.list_tokens()
        row = _named(rows, token_id)
        if not by.reaches(row.namespace):
            raise PermissionDeniedError(f"{by.name} is for namespace {by.namespace!r}, and revokes no others")
        if _manages(row) and len(rows) > 1 and sum(map(_manages, rows)) == 1:
            raise InvalidStateError(
                f"token {token_id} is the last one that can manage the others: create another one first"
            )
        await (await self._any_store()).delete_token(row.hash)
        return row

    async def _any_store(self) -> FullStore:
        if self._store is None:
            names = await self._namespaces.names()
            store = self._namespaces.store(names[0] if names else _FALLBACK)
            await store.open()
            self._store = store
        return self._store


def given_token(text: str, clock: Clock) -> TokenRow:
    """A token that the server is started with, which may do everything. Raises `UsageError` for one that could be
    guessed."""
    if len(text) < GIVEN_CHARS_MIN:
        raise UsageError(
            f"the admin token has {len(text)} characters, which could be guessed: use {GIVEN_CHARS_MIN} or more random "
            "ones, as `openssl rand -hex 32` makes them"
        )
    return TokenRow(hash_of(text), ALL, Role.ADMIN.value, clock.now_us(), "given at the start of the server")


def record_of(row: TokenRow) -> dict[str, str | int]:
    """What may be shown of a token."""
    return {
        "id": id_of(row.hash),
        "namespace": row.namespace,
        "role": row.role,
        "created_us": row.created_us,
        "note": row.note,
    }


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise UsageError(f"role {text!r} is unknown: use one of {', '.join(role.value for role in Role)}") from None


def _manages(row: TokenRow) -> bool:
    return row.role == Role.ADMIN.value and row.namespace == ALL


def _named(rows: Sequence[TokenRow], token_id: str) -> TokenRow:
    wanted = token_id.strip().lower()
    found = [row for row in rows if wanted and (row.hash.hex().startswith(wanted))]
    if len(found) != 1 or len(wanted) < 6:
        raise UsageError(f"no token has the id {token_id!r}: `aeterna token list` shows those there are")
    return found[0]
