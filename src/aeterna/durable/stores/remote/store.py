"""The store that is a server: an engine over it is a worker.

The server pushes runs with their histories; they wait here until the engine claims, so that claiming and reading them
costs no round trip. Everything that others did is told by the server; so nothing is looked for again and again."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.stores.contract import (
    ANY,
    Append,
    Choice,
    Created,
    CreateRun,
    FencedOff,
    Message,
    Notice,
    NoticeKind,
    Outcome,
    Outlook,
    RunRow,
    Write,
)
from aeterna.durable.stores.remote.credentials import Credentials
from aeterna.durable.stores.remote.line import Line
from aeterna.durable.stores.remote.packing import of_repeat, parts
from aeterna.durable.stores.remote.registry import RemoteRegistry
from aeterna.durable.wire.convert import choice_to, events_from, message_from, notice_from, notice_to, row_from
from aeterna.durable.wire.frames import failure_from, outcome_from, write_to
from aeterna.durable.wire.generated import records_pb2
from aeterna.durable.wire.generated import worker_pb2 as pb
from aeterna.kernel.errors import StoreError, UnknownWorkflowError, UsageError
from aeterna.kernel.limits import Limits

log = logging.getLogger("aeterna.remote")

ENOUGH_ROOM = 64
"""While the server knows of so much room, it is not told of a little more."""

ANSWERS_PER_LEASE = 4
"""A server that is silent for longer than that part of a lease may hang, and the session has to be saved elsewhere."""

_NO_OUTCOME = FencedOff()

Answerer = Callable[[str, str, Payload], Awaitable[Payload]]


class RemoteStore(RemoteRegistry):
    """The namespace of a server, at the first of ``addresses`` that answers.

    ``on_query``: who answers queries; None = nobody here. ``lease_us``: how long the session lives without a renewal,
    as the server has it; without ``lease_us`` in `open_session`, the server's own choice."""

    is_shared = True
    commit_shards = 1

    def __init__(
        self,
        namespace: str,
        addresses: Sequence[str],
        credentials: Credentials | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.namespace = namespace
        self.description = f"namespace {namespace!r} of server {', '.join(addresses)}"
        self.on_query: Answerer | None = None
        self.lease_us = 0
        self._addresses = tuple(addresses)
        self._credentials = credentials or Credentials()
        self._outlook: Outlook = _ignore
        self._hello = pb.Hello(namespace=namespace)
        self._line: Line | None = None
        self._choice: Choice = ANY
        self._choice_told: Choice | None = None
        self._held: dict[int, pb.Held] = {}
        self._arrived: deque[RunRow] = deque()
        self._histories: dict[str, records_pb2.Segment] = {}
        self._inboxes: dict[str, list[Message]] = {}
        self._received = 0
        self._room = 0
        self._told = pb.Credits()

    # Life.

    async def open(self) -> None:
        """See `Store.open`; the connection is made by `open_session`."""

    async def close(self) -> None:
        """See `Store.close`."""
        line, self._line = self._line, None
        if line is not None:
            await line.stop()
        self._clear()

    async def open_session(
        self, at_us: int, host: str, pid: int, *, lease_us: int | None = None, name: str = "", about: str = "{}"
    ) -> int:
        """See `Store.open_session`; raises `StoreError` if no server answers."""
        await self.close()
        self._hello = pb.Hello(
            namespace=self.namespace, host=host, pid=pid, name=name, about=about, lease_us=lease_us or 0
        )
        line = Line(self._addresses, self._credentials, self)
        await line.start()
        self._line = line
        self.lease_us = line.lease_us
        assert line.session is not None
        return line.session

    async def close_session(self, session: int, at_us: int, *, died: bool = False) -> None:
        """See `Store.close_session`."""
        line = self._line
        if line is None or line.session != session:
            return
        try:
            if not died:
                await line.call(pb.Call(close=True))
        finally:
            await self.close()

    async def renew_sessions(self, sessions: Sequence[int], expires_us: int) -> list[int]:
        """See `Store.renew_sessions`; the lease is as long as it was at first, by the server's clock."""
        line = self._line
        if line is None or line.session is None or line.session not in sessions:
            return []
        try:
            async with asyncio.timeout(self.lease_us / 1e6 / ANSWERS_PER_LEASE):
                (reply,) = await self.call(pb.Call(renew_us=self.lease_us))
        except TimeoutError:
            raise line.distrust() from None
        return [line.session] if reply.count else []

    # Writing.

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """See `Store.commit`: in one transaction, unless the writes are very large."""
        line = self._require()
        outcomes: list[Outcome] = [_NO_OUTCOME] * len(writes)
        for part in parts(writes):
            answers = await self._commit(line, [write for _, write in part])
            for (index, _), outcome in zip(part, answers, strict=True):
                outcomes[index] = outcome
        for write, outcome in zip(writes, outcomes, strict=True):
            self._note(write, outcome, line)
        return outcomes

    async def _commit(self, line: Line, writes: Sequence[Write]) -> list[Outcome]:
        result, was_repeated = await line.batch([write_to(write, line.session) for write in writes])
        if result.HasField("failure"):
            raise failure_from(result.failure)
        if len(result.outcomes) != len(writes):
            raise StoreError(f"the server answered {len(writes)} writes with {len(result.outcomes)} outcomes")
        outcomes = [outcome_from(outcome) for outcome in result.outcomes]
        if was_repeated:
            outcomes = [of_repeat(write, outcome) for write, outcome in zip(writes, outcomes, strict=True)]
        return outcomes

    def _note(self, write: Write, outcome: Outcome, line: Line) -> None:
        """What is held after this."""
        if isinstance(write, Append):
            head = write.head
            if self._histories or self._inboxes:
                self._outdate(write.key)
            if isinstance(outcome, FencedOff) or (head is not None and (head.release or head.state.is_final)):
                self._held.pop(write.key, None)
        elif isinstance(write, CreateRun) and isinstance(outcome, Created) and write.owner == line.session:
            self._held[outcome.key] = pb.Held(key=outcome.key, id=write.id, parent=write.parent)

    def _outdate(self, key: int) -> None:
        """What came with the run is not all of it any more."""
        held = self._held.get(key)
        if held is not None:
            self._histories.pop(held.id, None)
            self._inboxes.pop(held.id, None)

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """See `Store.commit_at_once`: never."""
        return None

    # Claiming.

    async def claim(self, session: int, now_us: int, limit: int, choice: Choice = ANY) -> list[RunRow]:
        """See `Store.claim`: what the server has pushed; what there is room for beyond that, the server is told."""
        line = self._require()
        if line.session != session:
            return []
        count = min(limit, len(self._arrived))
        rows = [self._arrived.popleft() for _ in range(count)]
        self._tell_room(line, limit - count - len(self._arrived), choice)
        return rows

    def _tell_room(self, line: Line, room: int, choice: Choice) -> None:
        room = self._room = max(room, 0)
        self._choice = choice
        if not line.is_connected:
            return
        known = self._told.room - (self._received - self._told.received)
        is_new = choice != self._choice_told
        if not is_new and (known == room or ENOUGH_ROOM <= known <= room):
            return
        self._told = pb.Credits(room=room, received=self._received)
        if is_new:
            self._choice_told = choice
            line.credit(pb.Credits(room=room, received=self._received, choice=choice_to(choice)))
        else:
            line.credit(self._told)

    async def claim_run(self, session: int, run_id: str, *, by_force: bool = False) -> RunRow | None:
        """See `Store.claim_run`; never by force, which is the server's."""
        if by_force:
            raise UsageError("a run is taken by force by the server only: terminate it there")
        (reply,) = await self.call(pb.Call(claim_run=run_id))
        if not reply.rows:
            return None
        row = row_from(reply.rows[0])
        self._held[row.key] = pb.Held(key=row.key, id=row.id, parent=row.parent)
        self._inboxes[row.id] = [message_from(message) for message in reply.inbox]
        self._histories.pop(row.id, None)
        return row

    async def release_runs(self, session: int, except_keys: Sequence[int], *, at_us: int) -> int:
        """The server does that when a worker comes back."""
        raise UsageError("a worker's runs are given up one by one, or by the server")

    def set_crash_limit(self, limit: int) -> None:
        """The server's counts."""

    # Messages and notices.

    async def inbox(self, run_id: str) -> list[Message]:
        """See `Store.inbox`; for a run that was just handed over, what came with it."""
        known = self._inboxes.pop(run_id, None)
        if known is not None:
            return known
        replies = await self.call(pb.Call(inbox=run_id))
        return [message_from(message) for reply in replies for message in reply.inbox]

    async def unread(self, session: int) -> list[str]:
        """None: the server pushes what is posted."""
        return []

    def watch(self, outlook: Outlook) -> None:
        """See `Store.watch`."""
        self._outlook = outlook

    def notify(self, notices: Sequence[Notice]) -> None:
        """See `Store.notify`; of ends the server knows itself."""
        for notice in notices:
            if notice.kind is not NoticeKind.ENDED and self._line is not None:
                self._line.say(pb.Call(announce=notice_to(notice)))

    # Reading.

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """See `Store.history`; for a run that was just handed over, what came with it."""
        known = self._histories.pop(run_id, None) if start == 0 else None
        if known is not None:
            return events_from(known)
        replies = await self.call(pb.Call(history=pb.HistoryCall(run_id=run_id, start=start)))
        return [event for reply in replies for event in events_from(reply.history)]

    # What the line says (see `Listener`).

    def delivered(self, delivery: pb.Delivery) -> None:
        """A run is this session's now."""
        row = row_from(delivery.info)
        self._received += 1
        self._held[row.key] = pb.Held(key=row.key, id=row.id, parent=row.parent)
        if delivery.HasField("history"):
            self._histories[row.id] = delivery.history
        self._inboxes[row.id] = [message_from(message) for message in delivery.inbox]
        self._arrived.append(row)
        if len(self._arrived) == 1:
            self._outlook(Notice(NoticeKind.RUNS))

    def noticed(self, notice: records_pb2.Notice) -> None:
        """Something happened."""
        known = notice_from(notice)
        if known is not None:
            if known.kind is NoticeKind.INBOX:
                self._inboxes.pop(known.subject, None)
            self._outlook(known)

    def connected(self) -> None:
        """A stream stands."""
        self._received = 0
        self._told = pb.Credits()
        self._choice_told = None
        if self._line is not None and self._room:
            # What arrived on the last stream takes some of it.
            self._tell_room(self._line, self._room - len(self._arrived), self._choice)
        # Notices may have been missed meanwhile.
        for held in self._held.values():
            self._inboxes.pop(held.id, None)
            self._outlook(Notice(NoticeKind.INBOX, held.id))

    def over(self) -> None:
        """The session has ended."""
        self._clear()
        self._outlook(Notice(NoticeKind.LOST))

    def hello(self) -> pb.Hello:
        """How this worker introduces itself."""
        hello = pb.Hello()
        hello.CopyFrom(self._hello)
        hello.choice.CopyFrom(choice_to(self._choice))
        return hello

    def held(self) -> Sequence[pb.Held]:
        """The runs it holds."""
        return list(self._held.values())

    async def asked(self, query: pb.Query) -> Payload:
        """Answer a query."""
        if self.on_query is None:
            raise UnknownWorkflowError("this worker answers no queries")
        return await self.on_query(query.run_id, query.name, Payload(query.arguments))

    # Inside.

    async def call(self, call: pb.Call) -> list[pb.Reply]:
        """Ask the server."""
        return await self._require().call(call)

    def _clear(self) -> None:
        self._held.clear()
        self._arrived.clear()
        self._histories.clear()
        self._inboxes.clear()
        self._received = self._room = 0
        self._told = pb.Credits()
        self._choice_told = None

    def _require(self) -> Line:
        if self._line is None:
            raise StoreError(f"{self.description} is not open; open a session first")
        return self._line


def _ignore(_: Notice) -> None:
    """Nobody watches."""
