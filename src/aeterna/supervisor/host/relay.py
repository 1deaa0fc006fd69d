"""SRP, the supervisor's side: the only listener, and what can be asked of the processes of a service.

It knows generations by number and token, and moves their memory without looking at it. Every operation either succeeds
or raises `RelayError`, within its time; what a process sends can neither block nor break it. Roles and drains are told
to all processes of a generation (a server may have several workers), memory moves with the first that declared some.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aeterna.config.spec import SocketSpec
from aeterna.handover.channel import Arrival
from aeterna.handover.frames import FrameError, Kind
from aeterna.supervisor.host import unix_path
from aeterna.supervisor.host.relay_claims import Hello, Progress, read
from aeterna.supervisor.host.relay_faults import RelayError, RelayFault
from aeterna.supervisor.host.relay_generation import RETURN_MS, RelayGeneration
from aeterna.supervisor.host.relay_peer import Peer
from aeterna.supervisor.host.relay_transfer import RelayLimits, Transfer
from aeterna.supervisor.host.snapshots import Snapshot

__all__ = ["Relay", "RelayError", "RelayFault", "RelayLimits", "adopt_relay_socket", "open_relay_socket"]

STRANGERS_MAX = 64
"""Connections that have not said who they are; the oldest goes when one more comes."""
PEERS_MAX = 512
"""Processes of one generation."""
HELLOS_MAX = 2_000
"""How often a process may say what it has."""
ROLE_MS = 1_000
"""How long a process may take to change its role: it is one assignment."""
REFUSALS_TOLD_S = 1.0
"""Refusals are told once in this time, and counted."""
_ACCEPTED_AT_ONCE = 64
_BACKLOG = 128
_REST_S = 0.5
_OUT_OF_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """What the processes of a generation are to do; ``ahead``: what they are told with it, first."""

    kind: Kind
    body: dict[str, Any]
    answer: Kind
    timeout_ms: int = ROLE_MS
    ahead: Kind | None = None

    def note_in(self, generation: RelayGeneration) -> None:
        """Those that come later are told it, too."""
        for kind in (self.ahead, self.kind):
            if kind is not None:
                generation.note_order(kind, self.body)

    async def ask(self, peer: Peer, answers: list[dict[str, Any]]) -> None:
        """Ask one of them and add its answer, if it does not end meanwhile. Raises `RelayError`."""
        try:
            answers.append(await peer.ask(self.kind, self.body, self.answer, self.timeout_ms, ahead=self.ahead))
        except RelayError as error:
            if error.fault is not RelayFault.GONE:
                raise


class Relay:
    """The relay of one service. ``on_event`` hears of hellos, ends and progress: a kind and its data."""

    def __init__(
        self, listening: socket.socket, limits: RelayLimits, on_event: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self._listening = listening
        self._transfer = Transfer(limits)
        self._limits = limits
        self._on_event = on_event
        self._generations: dict[int, RelayGeneration] = {}
        self._strangers: dict[Peer, asyncio.TimerHandle] = {}
        self._greeted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.refused_count = 0
        self._told_refusal_s = float("-inf")
        listening.setblocking(False)
        self._loop.add_reader(listening.fileno(), self._accept)

    # --- who may connect ---------------------------------------------------------------------------------------------

    def expect(self, generation: int, token: str, contains: Callable[[int], bool], *, speakers: int = 0) -> None:
        """Processes of this generation may connect from now on. ``speakers``: how many had, before another daemon."""
        until_s = self._loop.time() + RETURN_MS / 1000
        self._generations[generation] = RelayGeneration(token, contains, away_until_s=[until_s] * speakers)

    def forget(self, generation: int) -> None:
        """The generation is gone."""
        found = self._generations.pop(generation, None)
        for peer in list(found.peers) if found is not None else []:
            peer.close()

    def peers(self, generation: int) -> list[Peer]:
        """The connected processes of a generation, in the order of their coming."""
        found = self._generations.get(generation)
        return list(found.peers) if found is not None else []

    def speakers(self, generation: int) -> int:
        """How many processes of a generation speak SRP, connected at the moment or about to be again."""
        found = self._generations.get(generation)
        if found is None:
            return 0
        found.wait_s(self._loop.time())
        return len(found.peers) + len(found.away_until_s)

    def holder(self, generation: int) -> Peer:
        """The process that has the generation's state. Raises `RelayError` (NO_PEER)."""
        for peer in self.peers(generation):
            if peer.parts:
                return peer
        raise RelayError(RelayFault.NO_PEER, f"no process of generation {generation} has declared any state")

    async def wait_holder(self, generation: int) -> Peer:
        """The same; a process that is on its way is waited for, such as one that is ready before it has said hello."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETURN_MS / 1000):
                while not any(peer.parts for peer in self.peers(generation)):
                    self._greeted.clear()
                    await self._greeted.wait()
        return self.holder(generation)

    # --- moving memory -----------------------------------------------------------------------------------------------

    async def precopy(self, old: int, new: int, txn: int, timeout_ms: int) -> frozenset[str]:
        """Pass on ahead what is passed and not copied, while the old generation serves; returns those parts."""
        return await self._transfer.precopy(self.holder(old), self.holder(new), txn, timeout_ms)

    async def quiesce(self, generation: int, txn: int, timeout_ms: int) -> int:
        """Stop everything that changes the state; returns how many requests go on. Raises `RelayError` (BUSY)."""
        if not self.peers(generation):
            raise RelayError(RelayFault.NO_PEER, f"no process of generation {generation} speaks SRP")
        body = {"txn": txn, "deadline_ms": max(timeout_ms - 50, timeout_ms // 2)}
        answers = await self._tell_all(generation, Question(Kind.QUIESCE, body, Kind.QUIESCED, timeout_ms))
        return _inflight(answers)

    async def snapshot(self, old: int, txn: int, timeout_ms: int, *, forward_to: int = 0) -> Snapshot:
        """The state of a generation. With ``forward_to``, every part goes on to that generation as soon as it comes, so
        that both compute its digest at the same time."""
        giver = self.holder(old)
        taker = self.holder(forward_to) if forward_to else None
        snapshot = Snapshot(old, self._limits.algorithm)
        try:
            await self._transfer.take(giver, snapshot, txn, timeout_ms, taker)
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    async def restore(self, new: int, txn: int, snapshot: Snapshot, timeout_ms: int) -> tuple[str, ...]:
        """Have a generation take the state over; returns when it has, digests verified, with the parts it dropped."""
        return await self._transfer.restore(self.holder(new), snapshot, txn, timeout_ms)

    # --- roles -------------------------------------------------------------------------------------------------------

    async def accept(self, generation: int, txn: int) -> None:
        """Let a generation serve."""
        await self._tell_all(generation, Question(Kind.ACCEPT, {"txn": txn}, Kind.ACCEPTING))

    async def standby(self, generation: int, txn: int) -> None:
        """Have a generation serve no longer, and keep its memory."""
        await self._tell_all(generation, Question(Kind.STANDBY, {"txn": txn}, Kind.ACK))

    async def resume(self, generation: int, txn: int) -> None:
        """Let a generation serve again with the memory it has."""
        await self._tell_all(generation, Question(Kind.RESUME, {"txn": txn}, Kind.RESUMED))

    async def retire(self, generation: int, txn: int) -> None:
        """Have a generation serve no longer, keep its memory, and lose the lease: one way there and back for both."""
        body = {"txn": txn, "epoch": generation, "granted": False}
        await self._tell_all(generation, Question(Kind.LEASE, body, Kind.ACK, ahead=Kind.STANDBY))

    async def lease(self, generation: int, txn: int, *, granted: bool) -> None:
        """Give or take the right to change state. That it is given is not waited for: what it is told next, to serve
        or to resume, is answered when it has it."""
        body = {"txn": txn, "epoch": generation, "granted": granted}
        found = self._generations.get(generation)
        if not granted:
            await self._tell_all(generation, Question(Kind.LEASE, body, Kind.ACK))
        elif found is not None:
            found.note_order(Kind.LEASE, body)
            for peer in list(found.peers):
                with suppress(RelayError):
                    # One that is gone is told when it comes again.
                    peer.tell(Kind.LEASE, body)

    async def drain(self, generation: int, txn: int, lame_duck_ms: int) -> int:
        """Have a generation ask its clients to leave; returns how many requests it has under way."""
        body = {"txn": txn, "lame_duck_ms": lame_duck_ms}
        return _inflight(await self._tell_all(generation, Question(Kind.DRAIN, body, Kind.DRAINED)))

    async def release(self, generation: int, txn: int) -> None:
        """Tell a generation that nobody will need its memory any more."""
        await self._tell_all(generation, Question(Kind.RELEASE, {"txn": txn}, Kind.ACK))

    async def _tell_all(self, generation: int, question: Question) -> list[dict[str, Any]]:
        """Ask all processes of a generation the same; those that come later are told it, too.

        Raises `RelayError` as soon as one does not do it; one that ends meanwhile does nothing any more, so that it
        matters only if none is left.
        """
        found = self._generations.get(generation)
        if found is None:
            return []
        question.note_in(found)
        had_any = bool(found.peers) or found.wait_s(self._loop.time()) > 0
        if question.kind is not Kind.QUIESCE:
            # Nobody accepts while one is waited for; whoever comes back is told when it does.
            await self._wait_back(found)
        answers: list[dict[str, Any]] = []
        await _all(question.ask(peer, answers) for peer in list(found.peers))
        if had_any and not answers:
            raise RelayError(RelayFault.GONE, f"no process of generation {generation} is there any more")
        return answers

    async def _wait_back(self, found: RelayGeneration) -> None:
        """Wait for processes whose connection has broken and will come again."""
        while (wait_s := found.wait_s(self._loop.time())) > 0:
            self._greeted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._greeted.wait()

    # --- connections -------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_ROOM:
                    # Who waits in the queue would wake us at once, again and again.
                    self._loop.remove_reader(self._listening.fileno())
                    self._loop.call_later(_REST_S, self._accept_again)
                return
            if len(self._strangers) >= STRANGERS_MAX:
                self._refuse(next(iter(self._strangers)), RelayFault.TIMEOUT, "too many connections wait to say hello")
            peer = Peer(sock, self)
            too_late = "it did not say who it is"
            wait_s = self._limits.greeting_ms / 1000
            self._strangers[peer] = self._loop.call_later(wait_s, self._refuse, peer, RelayFault.TIMEOUT, too_late)

    def _accept_again(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def on_unasked(self, peer: Peer, arrival: Arrival) -> None:
        """A peer says something by itself."""
        try:
            if arrival.kind == Kind.HELLO:
                self._greet(peer, read(arrival.json(), Hello))
            elif peer.hello is None:
                raise RelayError(RelayFault.GARBAGE, "its first word was not HELLO")
            elif arrival.kind == Kind.PING:
                peer.send(Kind.PONG, {})
            elif arrival.kind == Kind.STATUS:
                progress = read(arrival.json(), Progress)
                about = {"generation": peer.hello.generation, "part": progress.part, "checked": progress.checked}
                self._on_event("relay.progress", about)
        except FrameError as error:
            self._refuse(peer, RelayFault.GARBAGE, str(error))
        except RelayError as error:
            self._refuse(peer, error.fault, str(error))

    def _greet(self, peer: Peer, hello: Hello) -> None:
        number, before = hello.generation, peer.hello
        found = self._generations.get(number)
        if found is None or hello.token != found.token:
            raise RelayError(RelayFault.FORGED, f"process {peer.pid} does not know generation {number}'s token")
        if before is None and not found.contains(peer.pid):
            raise RelayError(RelayFault.FORGED, f"process {peer.pid} does not belong to generation {number}")
        if before is not None and before.generation != number:
            raise RelayError(RelayFault.FORGED, f"process {peer.pid} belonged to another generation before")
        peer.hello_count += 1
        if peer.hello_count > HELLOS_MAX or len(found.peers) >= PEERS_MAX:
            raise RelayError(RelayFault.GARBAGE, f"process {peer.pid} says hello too often")
        peer.hello = hello
        peer.send(Kind.ACK, {"of": int(Kind.HELLO), "parts": len(hello.parts)})
        if before is None:
            self._admit(peer, found, hello)
        self._greeted.set()
        self._look_for_division(number, found)

    def _admit(self, peer: Peer, found: RelayGeneration, hello: Hello) -> None:
        self._strangers.pop(peer).cancel()
        found.came(peer)
        parts = sorted(peer.parts)
        self._on_event("relay.hello", {"generation": hello.generation, "pid": peer.pid, "parts": parts})
        for kind, body in found.orders_for(hello):
            peer.tell(kind, body)

    def _look_for_division(self, number: int, found: RelayGeneration) -> None:
        """Several processes of a generation have state: only that of the first moves, which has to be said."""
        pids = [peer.pid for peer in found.peers if peer.parts]
        if len(pids) > 1 and not found.has_told_divided:
            found.has_told_divided = True
            self._on_event("relay.divided", {"generation": number, "moves": pids[0], "stay": pids[1:]})

    def on_end(self, peer: Peer) -> None:
        """A peer's connection has ended."""
        timer = self._strangers.pop(peer, None)
        if timer is not None:
            timer.cancel()
        found = self._generations.get(peer.hello.generation) if peer.hello is not None else None
        if found is not None and peer in found.peers:
            assert peer.hello is not None
            found.went(peer, self._loop.time())
            self._on_event("relay.gone", {"generation": peer.hello.generation, "pid": peer.pid})

    def _refuse(self, peer: Peer, fault: RelayFault, detail: str) -> None:
        self.refused_count += 1
        now_s = self._loop.time()
        if now_s - self._told_refusal_s >= REFUSALS_TOLD_S:
            self._told_refusal_s = now_s
            about = {"pid": peer.pid, "fault": str(fault), "detail": detail, "count": self.refused_count}
            self._on_event("relay.refused", about)
        peer.close(RelayError(fault, detail))

    def close(self) -> None:
        """End all connections; the listening socket too, whose path stays. Idempotent."""
        if self._listening.fileno() < 0:
            return
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        for peer in list(self._strangers):
            peer.close()
        for generation in list(self._generations):
            self.forget(generation)


def _inflight(answers: Iterable[dict[str, Any]]) -> int:
    found = (each.get("inflight", 0) for each in answers)
    return sum(each for each in found if isinstance(each, int))


async def _all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; when one fails, or this is cancelled, the others are cancelled and nothing goes on."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def open_relay_socket(path: Path) -> socket.socket:
    """The listening socket at this path, for this user only; replaces one that an earlier supervisor left.

    Raises `BindError` if somebody listens there, or there is a file that is no socket.
    """
    spec = SocketSpec(name="srp", family="unix", path=os.fspath(path), permissions=0o600, backlog=_BACKLOG)
    return unix_path.open_unix(spec)[0]


def adopt_relay_socket(fd: int) -> socket.socket:
    """The socket that an earlier daemon opened; it becomes the caller's."""
    return socket.socket(fileno=fd)
