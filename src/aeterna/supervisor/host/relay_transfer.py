"""A state on its way: from the process that gives it into a snapshot, from a snapshot to the process that takes it.

Knows no generations. Everything either succeeds or raises `RelayError` within its time, and leaves no descriptor open.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from aeterna.handover import memory
from aeterna.handover.channel import Arrival
from aeterna.handover.frames import Kind
from aeterna.supervisor.host.relay_claims import PARTS_MAX, End, Manifest, Restored, read
from aeterna.supervisor.host.relay_faults import RelayError, RelayFault
from aeterna.supervisor.host.relay_peer import Peer
from aeterna.supervisor.host.snapshots import Snapshot, StatePart

GIVEN_BYTES = 128 * 1024
"""How much is given in one chunk: less than may be, so that its receiver works while the next one is being sent."""
LEGACY_PART = "state"
"""The name of a state that comes in one frame, without a manifest."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """Bounds on one service's memory and its processes. ``greeting_ms``: a connection says in this time who it is."""

    bytes_max: int = 8 * 1024**3
    algorithm: str = "xxh3-128"
    greeting_ms: int = 5_000


class Transfer:
    """Moves states of one service within its limits."""

    def __init__(self, limits: RelayLimits) -> None:
        self._limits = limits

    # --- ahead -------------------------------------------------------------------------------------------------------

    async def precopy(self, giver: Peer, taker: Peer, txn: int, timeout_ms: int) -> frozenset[str]:
        """Pass on ahead what is passed and not copied, while the giver serves; returns the names of those parts."""
        names: set[str] = set()
        if not taker.takes_fds:
            return frozenset()
        async with giver.conversation(timeout_ms, "precopy"):
            giver.send(Kind.PRECOPY, {"txn": txn})
            while (arrival := await giver.answer((Kind.PART, Kind.END), txn)).kind == Kind.PART:
                part = self._take_memory(arrival, read_manifest(arrival))
                try:
                    self._give(taker, part, txn, is_ahead=True)
                finally:
                    os.close(part.fd)
                names.add(part.name)
                if len(names) > PARTS_MAX:
                    raise RelayError(RelayFault.GARBAGE, f"more than {PARTS_MAX} parts")
            arrival.close()
        # What it is told comes in order, so an answer means that it has taken all of it.
        await taker.ask(Kind.STATUS, {"txn": txn}, Kind.STATUS, timeout_ms)
        return frozenset(names)

    # --- taking ------------------------------------------------------------------------------------------------------

    async def take(self, giver: Peer, snapshot: Snapshot, txn: int, timeout_ms: int, taker: Peer | None) -> None:
        """Fill the snapshot. Every part goes on to the taker as soon as it comes, chunk by chunk if need be, so that
        both work at the same time."""
        async with giver.conversation(timeout_ms, "snapshot"):
            giver.send(Kind.REQUEST, {"txn": txn, "digest": self._limits.algorithm})
            kinds = (Kind.PART, Kind.END, Kind.STATE_JSON, Kind.STATE_BINARY)
            while (arrival := await giver.answer(kinds, txn)).kind == Kind.PART:
                manifest = read_manifest(arrival)
                is_streamed = arrival.fd < 0 and taker is not None and not taker.takes_fds
                part = await self._next_part(giver, arrival, manifest, txn, taker if is_streamed else None)
                if part.name in snapshot.parts:
                    os.close(part.fd)
                    raise RelayError(RelayFault.GARBAGE, f"part {part.name!r} came twice")
                snapshot.parts[part.name] = part
                self._check_size(snapshot)
                if taker is not None and not is_streamed:
                    await self._pass_on(taker, part, txn)
            arrival.close()
            if arrival.kind == Kind.END:
                await self._finish(snapshot, read(arrival.json(), End))
                snapshot.receiver = taker
            else:
                self._take_inline(giver, snapshot, arrival, txn)

    def _take_inline(self, giver: Peer, snapshot: Snapshot, arrival: Arrival, txn: int) -> None:
        """A whole state in one frame, from a process that knows no parts. It is told what arrived."""
        if snapshot.parts:
            raise RelayError(RelayFault.GARBAGE, "a state in one frame came after parts of it")
        codec = "json" if arrival.kind == Kind.STATE_JSON else "raw"
        part = snapshot.parts[LEGACY_PART] = _part_of_bytes(codec, arrival.frame.payload)
        self._check_size(snapshot)
        part.digest = memory.digest(arrival.frame.payload, snapshot.algorithm)
        giver.send(Kind.ACK, {"txn": txn, "of": arrival.kind, "bytes": part.size, "digest": part.digest})

    async def _next_part(
        self, giver: Peer, arrival: Arrival, manifest: Manifest, txn: int, stream_to: Peer | None
    ) -> StatePart:
        if arrival.fd >= 0:
            return self._take_memory(arrival, manifest)
        if not manifest.chunks:
            raise RelayError(RelayFault.GARBAGE, f"part {manifest.part!r} came without its memory")
        return await self._take_chunks(giver, manifest, txn, stream_to)

    def _take_memory(self, arrival: Arrival, manifest: Manifest) -> StatePart:
        """A part that came as a memory. Its size is what the kernel says, and it must not be able to change."""
        name, fd = manifest.part, arrival.fd
        needed = memory.SIZE_SEALS if manifest.live else memory.SIZE_SEALS | memory.SEAL_WRITE
        try:
            if fd < 0:
                raise RelayError(RelayFault.GARBAGE, f"part {name!r} came without its memory")
            if memory.HAS_SEALS and memory.seals_of(fd) & needed != needed:
                raise RelayError(RelayFault.UNSEALED, f"the memory of part {name!r} is not sealed")
            size = memory.size_of(fd)
            if size != manifest.bytes:
                raise RelayError(
                    RelayFault.GARBAGE, f"part {name!r} has {size} bytes, its manifest says {manifest.bytes}"
                )
        except RelayError:
            arrival.close()
            raise
        return _part_of(manifest, fd)

    async def _take_chunks(self, giver: Peer, manifest: Manifest, txn: int, stream_to: Peer | None) -> StatePart:
        """A part that comes in pieces, from a process that cannot send descriptors, and goes on to another such."""
        name = manifest.part
        if manifest.bytes > self._limits.bytes_max:
            raise self._too_big()
        if stream_to is not None:
            stream_to.send(Kind.PART, {**_part_of(manifest, -1).plain(), "txn": txn, "ahead": False, "chunks": True})
        fd = _create(name)
        try:
            digest = await self._receive_chunks(giver, manifest, txn, fd, stream_to)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, OSError):
                raise RelayError(RelayFault.TOO_BIG, f"part {name!r} cannot be stored: {error.strerror}") from error
            raise
        memory.seal(fd)
        part = _part_of(manifest, fd)
        part.is_live, part.digest = False, digest
        return part

    async def _receive_chunks(self, giver: Peer, manifest: Manifest, txn: int, fd: int, stream_to: Peer | None) -> str:
        """Write all of a part to the descriptor; returns its digest."""
        digest, left = memory.new_hash(self._limits.algorithm), manifest.bytes
        while left:
            payload = (await giver.answer((Kind.CHUNK,), txn)).frame.payload
            left -= len(payload)
            if left < 0:
                raise RelayError(RelayFault.GARBAGE, f"part {manifest.part!r} is longer than its manifest says")
            if stream_to is not None:
                stream_to.send_bytes(Kind.CHUNK, payload)
                await stream_to.wait_sent()
            digest.update(payload)
            memory.write(fd, payload)
        return digest.hexdigest()

    def _check_size(self, snapshot: Snapshot) -> None:
        if snapshot.size > self._limits.bytes_max:
            raise self._too_big()
        if len(snapshot.parts) > PARTS_MAX:
            raise RelayError(RelayFault.GARBAGE, f"the state has more than {PARTS_MAX} parts")

    def _too_big(self) -> RelayError:
        limit = self._limits.bytes_max
        return RelayError(RelayFault.TOO_BIG, f"the state has more than {limit} bytes (state_handoff.max_bytes)")

    async def _finish(self, snapshot: Snapshot, end: End) -> None:
        """Every part gets its digest: the sender's; of one without the library for it, ours."""
        for name, part in snapshot.parts.items():
            ours, theirs = part.digest, end.digests.get(name)
            if ours and theirs and ours != theirs:
                raise RelayError(RelayFault.GARBAGE, f"part {name!r} has digest {ours}, its sender says {theirs}")
            if theirs is not None:
                part.digest = theirs
            elif not ours and not part.is_live:
                # The mapping outlives its descriptor, so that nothing is lost if nobody waits for the thread any more.
                content = memory.content(part.fd, populates=False)
                part.digest = await asyncio.to_thread(memory.digest, content, snapshot.algorithm)

    # --- giving ------------------------------------------------------------------------------------------------------

    async def restore(self, taker: Peer, snapshot: Snapshot, txn: int, timeout_ms: int) -> tuple[str, ...]:
        """Have a process take the state over; returns when it has, digests verified, with the names it dropped."""
        async with taker.conversation(timeout_ms, "restore"):
            if snapshot.receiver is not taker:
                for part in snapshot.parts.values():
                    await self._pass_on(taker, part, txn)
            parts = [part.plain() for part in snapshot.parts.values()]
            digests = snapshot.digests
            taker.send(Kind.RESTORE, {"txn": txn, "parts": parts, "digests": digests, "digest_by": snapshot.algorithm})
            arrival = await taker.answer((Kind.RESTORED,), txn)
            arrival.close()
        restored = read(arrival.json(), Restored)
        if restored.digests is not None and restored.digests != digests:
            raise RelayError(RelayFault.REFUSED, "the digests it confirms are not those it was given")
        return restored.dropped

    async def _pass_on(self, taker: Peer, part: StatePart, txn: int) -> None:
        if taker.takes_fds:
            self._give(taker, part, txn)
        else:
            await _give_chunks(taker, part, txn)

    def _give(self, taker: Peer, part: StatePart, txn: int, *, is_ahead: bool = False) -> None:
        body = {**part.plain(), "txn": txn, "ahead": is_ahead, "digest_by": self._limits.algorithm}
        taker.send(Kind.PART, body, part.fd)


def read_manifest(arrival: Arrival) -> Manifest:
    """The manifest of a part; a descriptor that came with what is none is closed. Raises `RelayError`."""
    try:
        return read(arrival.json(), Manifest)
    except RelayError:
        arrival.close()
        raise


def _part_of(manifest: Manifest, fd: int) -> StatePart:
    return StatePart(
        name=manifest.part,
        codec=manifest.codec,
        version=manifest.version,
        size=manifest.bytes,
        is_live=manifest.live,
        fd=fd,
    )


def _part_of_bytes(codec: str, data: bytes) -> StatePart:
    try:
        fd = memory.create_sealed(LEGACY_PART, data)
    except OSError as error:
        raise RelayError(RelayFault.TOO_BIG, f"the state cannot be stored: {error.strerror}") from error
    return StatePart(name=LEGACY_PART, codec=codec, version=1, size=len(data), is_live=False, fd=fd)


def _create(name: str) -> int:
    try:
        return memory.create(name)
    except OSError as error:
        raise RelayError(RelayFault.TOO_BIG, f"part {name!r} cannot be stored: {error.strerror}") from error


async def _give_chunks(taker: Peer, part: StatePart, txn: int) -> None:
    """To a process that takes no descriptors. What is sent waits until it is read, so memory stays bounded."""
    taker.send(Kind.PART, {**part.plain(), "txn": txn, "ahead": False, "chunks": True})
    with memory.content(part.fd) as data:
        for start in range(0, len(data), GIVEN_BYTES):
            taker.send_bytes(Kind.CHUNK, bytes(data[start : start + GIVEN_BYTES]))
            await taker.wait_sent()
