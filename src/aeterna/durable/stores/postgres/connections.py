"""Connections to a database, few and reused, and transactions on them that are tried again where that is right."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from aeterna.durable.stores.postgres.faults import ERRORS, Verdict, explain, sqlstate, verdict
from aeterna.durable.stores.postgres.place import Place
from aeterna.durable.stores.postgres.statements import load_statements
from aeterna.kernel.clock import Clock, sleep
from aeterna.kernel.errors import StoreError

T = TypeVar("T")

COMMIT_SHARDS = 4
CONNECTIONS_MAX = 10
RETRY_FOR_S = 10.0
RETRY_OPEN_FOR_S = 3.0
_RETRY_FIRST_S, _RETRY_LONGEST_S = 0.005, 0.5
_CONNECT_S = 5.0
_STATEMENT_S = 15.0

_SETTINGS = {
    "application_name": "aeterna",
    # Planning an append takes longer than doing it, so its plan is made once per connection (see `KEPT`). It has to be
    # good for a table that is small now and will not stay so.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    # All statements are short; compiling one takes longer than it runs.
    "jit": "off",
    "default_transaction_isolation": "read committed",
}

KEPT = frozenset({"append", "create_runs", "post", "runs_by_id", "history", "inbox", "claim_run"})
"""Statements whose plans are kept: those that leave the planner no choice, because they find all rows by a primary or
unique key. The others have several indexes to choose from, and the wrong one is slow by orders of magnitude: they are
planned whenever they are carried out, by the size that tables have then."""


class Session:
    """One connection at work. ``is_repeat``: the same was tried before, and may have been done; ``made``: the keys of
    the runs that are taken for those which this commit has created."""

    def __init__(self, connection: asyncpg.Connection[Any], place: Place, *, synchronous: bool) -> None:
        self.connection = connection
        self.place = place
        self.is_repeat = False
        self.made: set[int] = set()
        self._statements = load_statements(place.schema)
        self._begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
        if place.is_distributed:
            self._begin = "BEGIN"
        if place.is_pooled and not synchronous:
            self._begin += "; SET LOCAL synchronous_commit = off"
        self._is_in_transaction = False

    async def rows(self, name: str, *values: Any, timeout_s: float = _STATEMENT_S) -> list[Any]:
        """The rows of a named statement. Alone, it is a transaction of its own."""
        if self.place.is_pooled and not self._is_in_transaction:
            # A statement takes two messages, parse and execute, which a pooler sends to the same server only within
            # a transaction.
            async with self.transaction():
                return await self.rows(name, *values, timeout_s=timeout_s)
        rows: list[Any]
        if name in KEPT or self.place.is_pooled:
            rows = await self.connection.fetch(self._statements[name], *values, timeout=timeout_s)
        else:
            statement = await self.connection.prepare(self._statements[name], timeout=timeout_s)
            rows = await statement.fetch(*values, timeout=timeout_s)
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Everything inside, or nothing. Not to be nested."""
        assert not self._is_in_transaction
        await self.connection.execute(self._begin, timeout=_STATEMENT_S)
        self._is_in_transaction = True
        try:
            try:
                yield
            except asyncio.CancelledError:
                # The statement may still be under way: the connection is given up, and the transaction with it.
                self.connection.terminate()
                raise
            except BaseException:
                if not self.connection.is_closed():
                    await self.connection.execute("ROLLBACK", timeout=_STATEMENT_S)
                raise
            await self.connection.execute("COMMIT", timeout=_STATEMENT_S)
        finally:
            self._is_in_transaction = False


Work = Callable[[Session], Awaitable[T]]


class Connections:
    """Up to `CONNECTIONS_MAX` connections to ``place``, made when they are needed."""

    def __init__(self, place: Place, clock: Clock, *, synchronous: bool) -> None:
        self.place = place
        self.clock = clock
        self._synchronous = synchronous
        self._idle: list[asyncpg.Connection[Any]] = []
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self._random = random.Random(clock.monotonic_us())
        self._is_closed = False

    async def close(self) -> None:
        """Give the connections back; those at work are cut."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await close_connection(connection)

    async def do(self, action: str, work: Work[T], *, retry_for_s: float = RETRY_FOR_S) -> T:
        """What ``work`` returns. It is tried again for a while where an error undid it, and where the connection broke
        with ``is_repeat``; then, or for any other error of the database, raises the `StoreError` that says what to do.
        """
        deadline_us = self.clock.monotonic_us() + int(retry_for_s * 1e6)
        pause_s = _RETRY_FIRST_S
        is_repeat = False
        while True:
            try:
                async with self._session() as session:
                    session.is_repeat = is_repeat
                    return await work(session)
            except _CannotConnectError as error:
                cause, meaning = error.cause, error.meaning
            except ERRORS as error:
                cause, meaning = error, verdict(error)
                is_repeat = is_repeat or meaning is Verdict.LOST
            if meaning is Verdict.FINAL or self._is_closed or self.clock.monotonic_us() >= deadline_us:
                raise explain(cause, self.place, action) from cause
            await sleep(pause_s * (0.5 + self._random.uniform(0, 1)))
            pause_s = min(pause_s * 2, _RETRY_LONGEST_S)

    async def connect(self) -> asyncpg.Connection[Any]:
        """A connection of one's own; raises the driver's errors."""
        settings = dict(_SETTINGS)
        if self.place.is_pooled or self.place.is_distributed:
            settings = {"application_name": _SETTINGS["application_name"]}
        elif not self._synchronous:
            settings["synchronous_commit"] = "off"
        return await asyncpg.connect(
            self.place.dsn,
            timeout=_CONNECT_S,
            statement_cache_size=0 if self.place.is_pooled else 200,
            max_cached_statement_lifetime=0,
            server_settings=settings,
        )

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with self._slots:
            connection = await self._take()
            try:
                yield Session(connection, self.place, synchronous=self._synchronous)
            except BaseException as error:
                if _is_broken(error, connection):
                    connection.terminate()
                else:
                    self._idle.append(connection)
                raise
            if self._is_closed:
                await close_connection(connection)
            else:
                self._idle.append(connection)

    async def _take(self) -> asyncpg.Connection[Any]:
        if self._is_closed:
            raise StoreError(f"{self.place.description} is not open; call open() first")
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        try:
            return await self.connect()
        except ERRORS as error:
            # Nothing was asked yet, so nothing can have been done.
            meaning = verdict(error)
            raise _CannotConnectError(error, Verdict.UNDONE if meaning is Verdict.LOST else meaning) from error


class _CannotConnectError(Exception):
    def __init__(self, cause: BaseException, meaning: Verdict) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.meaning = meaning


async def close_connection(connection: asyncpg.Connection[Any]) -> None:
    """Say goodbye, but do not wait for an answer for long."""
    try:
        await connection.close(timeout=1.0)
    except ERRORS:
        connection.terminate()


def _is_broken(error: BaseException, connection: asyncpg.Connection[Any]) -> bool:
    """Whether the connection is of no use after that error."""
    if connection.is_closed() or connection.is_in_transaction():
        return True
    if not isinstance(error, Exception):
        return True  # Cancelled in the middle of a statement, perhaps.
    if not isinstance(error, ERRORS):
        return False  # Ours, raised between statements.
    # A server that has become a standby refuses to write for as long as one asks it.
    return verdict(error) is Verdict.LOST or sqlstate(error) == "25006"


def columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows as arrays, one per column, also when there are none."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]
