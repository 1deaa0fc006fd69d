"""Calls to a server that has several addresses: whoever answers, answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.stores.remote.failures import AWAY, AWAY_OR_SILENT, error_of
from aeterna.durable.wire.services import Caller
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import StoreError

TRIES_EACH = 4
"""So often each address is tried before the server counts as away."""
PAUSE_FIRST_S = 0.05
CALL_S = 30.0
TRY_S = 5.0
"""So long one of several addresses may be silent; then the next one is asked."""


class Unary:
    """One channel at a time; a call that finds its server away, or silent, goes to the next address. Calls are such
    that carrying one out twice is as good as once."""

    def __init__(self, addresses: Sequence[str], credentials: Credentials) -> None:
        self._addresses = itertools.cycle(addresses)
        self._tries = len(addresses) * TRIES_EACH
        self._try_s = TRY_S if len(addresses) > 1 else CALL_S
        self._credentials = credentials
        self._metadata = credentials.metadata()
        self._channel: grpc.aio.Channel | None = None
        self._caller: Caller
        self._address = ""
        self._switching = asyncio.Lock()

    async def close(self) -> None:
        """Idempotent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def ask(self, service: str, method: str, request: Any, timeout_s: float | None = None) -> Any:
        """The response. ``timeout_s``: how long the answer may take at the server, where that is more than a moment.
        Raises the error that it was at the server, `TimeoutError`, and `StoreError` if no address answers."""
        pause_s = PAUSE_FIRST_S
        gone = AWAY if timeout_s is not None else AWAY_OR_SILENT
        for attempt in itertools.count(1):
            caller = self._caller if self._channel is not None else await self._connect()
            used = self._channel
            try:
                return await caller(service, method)(request, metadata=self._metadata, timeout=timeout_s or self._try_s)
            except grpc.aio.AioRpcError as failed:
                if failed.code() not in gone or attempt >= self._tries:
                    raise error_of(failed, self._address) from None
            except asyncio.CancelledError:
                # Closing the channel for another call's sake cancels this one, too.
                task = asyncio.current_task()
                is_meant = task is not None and task.cancelling() > 0
                if is_meant or used is self._channel or attempt >= self._tries:
                    raise
            await self._switch(used)
            await sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)
        raise StoreError("no address was tried")

    async def stream(self, service: str, method: str, request: Any) -> AsyncIterator[Any]:
        """The responses, from one address."""
        caller = self._caller if self._channel is not None else await self._connect()
        try:
            async for message in caller(service, method)(request, metadata=self._metadata):
                yield message
        except grpc.aio.AioRpcError as failed:
            if failed.code() in AWAY:
                await self._switch(self._channel)
            raise error_of(failed, self._address) from None

    async def _connect(self) -> Caller:
        if self._channel is None:
            self._address = next(self._addresses)
            self._channel = self._credentials.channel(self._address)
            self._caller = Caller(self._channel)
        return self._caller

    async def _switch(self, used: grpc.aio.Channel | None) -> None:
        """Leave this channel, unless another call has left it already."""
        async with self._switching:
            if used is not None and self._channel is used:
                self._channel = None
                await used.close()
