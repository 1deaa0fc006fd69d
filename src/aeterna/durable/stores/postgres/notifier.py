"""Telling the other processes what happened, and hearing it from them.

NOTIFY inside a transaction that writes would make all such transactions commit one after another, so notices are sent
by themselves: those of some milliseconds together, on the connection that also listens. A notice that is lost does no
harm (see `Notice`), so nothing is kept for a connection that is gone."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from typing import Any

import asyncpg
import msgspec

from aeterna.durable.stores.contract import Notice, NoticeKind, Outlook
from aeterna.durable.stores.postgres.connections import Connections, close_connection
from aeterna.durable.stores.postgres.faults import ERRORS
from aeterna.kernel.clock import sleep

log = logging.getLogger("aeterna.store")

_TOGETHER_S = 0.003
_BYTES_MAX = 7_000
"""PostgreSQL takes less than 8,000 at a time."""
_WAITING_MAX = 20_000
_RETRY_S = 1.0

_Wire = tuple[int, str, list[tuple[str, str]]]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Wire).decode


class Notifier:
    """One connection of one process, for all namespaces. ``identity`` tells its own notices from those of others."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        digest = hashlib.sha256(connections.place.schema.encode()).hexdigest()
        self._channel = f"aeterna_{digest[:16]}"
        self._outlooks: dict[str, Outlook] = {}
        self._waiting: dict[tuple[str, Notice], None] = {}
        self._is_needed = asyncio.Event()
        self._connection: asyncpg.Connection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self.identity = 0

    def watch(self, namespace: str, outlook: Outlook) -> None:
        """Tell ``outlook`` what others report of this namespace."""
        self._outlooks[namespace] = outlook

    def forget(self, namespace: str) -> None:
        """The namespace's store is closed."""
        self._outlooks.pop(namespace, None)

    def notify(self, namespace: str, notices: list[Notice]) -> None:
        """Send these soon. The same notice is sent once."""
        if self._task is None or len(self._waiting) > _WAITING_MAX:
            return
        for notice in notices:
            self._waiting[namespace, notice] = None
        self._is_needed.set()

    async def start(self) -> None:
        """Listen from here on."""
        self._is_needed = asyncio.Event()
        self._connection = await self._connect()
        self._task = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """Send what waits, and end."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if self._connection is not None:
            if self._waiting and not self._connection.is_closed():
                await self._try_to_send()
            await close_connection(self._connection)
            self._connection = None

    async def _serve(self) -> None:
        while True:
            await self._is_needed.wait()
            await sleep(_TOGETHER_S)
            self._is_needed.clear()
            if self._connection is None or self._connection.is_closed():
                await self._connect_again()
            await self._try_to_send()

    async def _try_to_send(self) -> None:
        waiting, self._waiting = list(self._waiting), {}
        connection = self._connection
        assert connection is not None
        try:
            for payload in self._payloads(waiting):
                await connection.execute("SELECT pg_notify($1, $2)", self._channel, payload, timeout=5.0)
        except ERRORS as error:
            log.info("notices were lost: %s", error, extra={"action": "notify"})
            connection.terminate()

    def _payloads(self, waiting: list[tuple[str, Notice]]) -> Iterator[str]:
        by_namespace: dict[str, list[tuple[str, str]]] = {}
        for namespace, notice in waiting:
            by_namespace.setdefault(namespace, []).append((str(notice.kind), notice.subject))
        for namespace, notices in by_namespace.items():
            # Most batches fit; those that do not are halved until they do.
            parts = [notices]
            while parts:
                part = parts.pop()
                payload = _encode((self.identity, namespace, part))
                if len(payload) <= _BYTES_MAX:
                    yield payload.decode()
                elif len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]

    async def _connect_again(self) -> None:
        while True:
            try:
                self._connection = await self._connect()
            except ERRORS as error:
                log.info("no connection for notices yet: %s", error, extra={"action": "notify"})
                await sleep(_RETRY_S)
            else:
                break
        # What was reported meanwhile nobody heard.
        for outlook in list(self._outlooks.values()):
            outlook(Notice(NoticeKind.RUNS))

    async def _connect(self) -> asyncpg.Connection[Any]:
        connection = await self._connections.connect()
        try:
            self.identity = connection.get_server_pid()
            connection.add_termination_listener(self._ended)
            await connection.add_listener(self._channel, self._heard)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _ended(self, connection: object) -> None:
        """The connection broke: be there again before the next notice is to be sent."""
        self._is_needed.set()

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        if pid == self.identity:
            return
        try:
            _, namespace, notices = _decode(str(payload).encode())
            heard = [Notice(NoticeKind(kind), subject) for kind, subject in notices]
        except (msgspec.DecodeError, UnicodeEncodeError, ValueError):
            return  # A later release may tell more than this one knows.
        outlook = self._outlooks.get(namespace)
        if outlook is not None:
            for notice in heard:
                outlook(notice)
