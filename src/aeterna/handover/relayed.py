"""What the process does at each message of the supervisor. One method per message.

Whoever listens to the supervisor always listens: what may take long (waiting for requests, the application's hooks and
dumps) is done by a second thread, in order, so that RESUME is obeyed at once whatever hangs. Messages carry the number
of their handover; one of an earlier handover is ignored and counted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from aeterna.handover import memory
from aeterna.handover.channel import Arrival, Channel
from aeterna.handover.frames import Flags, FrameError, FrameFault, Kind
from aeterna.handover.gate import Gate, ServingRole
from aeterna.handover.hooks import Hook, Hooks
from aeterna.handover.in_order import InOrder
from aeterna.handover.parts import LoadError, Part

log = logging.getLogger("aeterna.handover")

Body = Mapping[str, Any]
RETRY_MS = 100
PROGRESS_BYTES = 64 * 1024 * 1024
"""A part of at least this size is reported when it has been checked."""


class Relayed:
    """The state of one process in the handover under way."""

    def __init__(self, gate: Gate, parts: Mapping[str, Part], hooks: Hooks, *, has_lease: bool) -> None:
        self._gate = gate
        self._parts = parts
        self._hooks = hooks
        self.has_lease = has_lease
        self.txn = 0
        self.late_count = 0
        self._resumes = 0
        self._work = InOrder()
        self._arrived: dict[str, _Arrived] = {}
        self._restored: dict[str, Any] = {}
        self._handlers: dict[int, Callable[[_Answering, Body, Arrival], None]] = {
            Kind.PRECOPY: self._precopy,
            Kind.QUIESCE: self._quiesce,
            Kind.REQUEST: self._request,
            Kind.PART: self._part,
            Kind.RESTORE: self._restore,
            Kind.ACCEPT: self._accept,
            Kind.STANDBY: self._standby,
            Kind.RESUME: self._resume,
            Kind.LEASE: self._lease,
            Kind.DRAIN: self._drain,
            Kind.RELEASE: self._acknowledge,
            Kind.PING: self._ping,
            Kind.STATUS: self._status,
        }

    def handle(self, channel: Channel, arrival: Arrival) -> None:
        """Do what the message asks. The caller closes its descriptor. Raises `OSError`, `FrameError`."""
        handler = self._handlers.get(arrival.kind)
        if handler is None:
            if not arrival.frame.is_optional:
                channel.send(Kind.NACK, {"code": "unknown", "text": f"frame type 0x{arrival.kind:02x} is not known"})
            return
        body = arrival.json()
        txn = body.get("txn", 0)
        if not isinstance(txn, int):
            raise FrameError(FrameFault.NOT_JSON, f"the number of a handover is {txn!r}")
        if txn and txn < self.txn:
            self.late_count += 1
            return
        self.txn = max(self.txn, txn)
        handler(_Answering(channel, txn, body.get("re")), body, arrival)

    def connection_lost(self) -> None:
        """What has arrived and was not restored is of no use any more."""
        for each in self._arrived.values():
            each.close()
        self._arrived.clear()

    def stop(self) -> None:
        """Nobody will ask for anything any more."""
        self._work.stop()

    def forked(self) -> None:
        """The process is a child now, and has no second thread."""
        self._work = InOrder()
        self.connection_lost()

    # --- giving ------------------------------------------------------------------------------------------------------

    def _precopy(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        """Pass on what is passed and not copied, while this process still serves."""
        total = 0
        for part in list(self._parts.values()):
            if part.is_live:
                fd, manifest = part.export()
                try:
                    answering.send(Kind.PART, {**manifest.plain(), "ahead": True}, fd)
                finally:
                    os.close(fd)
                total += manifest.size
        answering.send(Kind.END, {"ahead": True, "bytes": total})

    def _quiesce(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        """Requests are held back from now on; the answer comes when nothing changes the state any more."""
        self._gate.pause(0)
        resumes, deadline_ms = self._resumes, int(body.get("deadline_ms", 1_000))
        self._work.put(lambda: self._come_to_rest(answering, resumes, deadline_ms))

    def _come_to_rest(self, answering: _Answering, resumes: int, deadline_ms: int) -> None:
        if self._resumes != resumes:
            return
        try:
            self._hooks.run(self._hooks.quiesce)
        except Exception as error:  # noqa: BLE001 - a user's hook may raise anything; the handover fails with its words
            answering.try_send(Kind.NACK, {"code": "quiesce", "text": f"{type(error).__name__}: {error}"})
            return
        left = self._gate.wait_idle(deadline_ms)
        if self._resumes != resumes:
            return
        if left:
            answering.try_send(Kind.BUSY, {"inflight": left, "retry_ms": RETRY_MS})
        else:
            answering.try_send(Kind.QUIESCED, {"inflight": 0})

    def _request(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        resumes, algorithm = self._resumes, str(body.get("digest", memory.DIGESTS[0]))
        self._work.put(lambda: self._give(answering, resumes, algorithm))

    def _give(self, answering: _Answering, resumes: int, algorithm: str) -> None:
        """Give the state: every part first, so that its receiver can begin, and then the digests."""
        exported: list[tuple[Part, int]] = []
        try:
            if self._resumes != resumes:
                return
            total = 0
            for part in list(self._parts.values()):
                fd, manifest = part.export()
                exported.append((part, fd))
                answering.send(Kind.PART, {**manifest.plain(), "ahead": False}, fd)
                total += manifest.size
            digests = {part.name: self._digest(part, fd, algorithm) for part, fd in exported}
            answering.send(Kind.END, {"ahead": False, "bytes": total, "digests": digests})
        except (OSError, ValueError) as error:
            answering.try_send(Kind.NACK, {"code": "dump", "text": str(error)})
        finally:
            for _, fd in exported:
                os.close(fd)

    def _digest(self, part: Part, fd: int, algorithm: str) -> str:
        """Memory that goes on being written to, because both generations may, has none."""
        is_changing = part.is_live and self._gate.role is ServingRole.ACTIVE
        return "" if is_changing else memory.digest(part.content(fd), algorithm)

    # --- taking ------------------------------------------------------------------------------------------------------

    def _part(self, answering: _Answering, body: Body, arrival: Arrival) -> None:
        name = str(body.get("part"))
        part = self._parts.get(name)
        if part is None or arrival.fd < 0:
            return
        if (before := self._arrived.pop(name, None)) is not None:
            before.close()
        arrived = self._arrived[name] = _Arrived(os.dup(arrival.fd))
        try:
            if body.get("ahead"):
                part.prepare(arrived.fd)
                return
            arrived.digest = memory.digest(part.content(arrived.fd), str(body.get("digest_by", memory.DIGESTS[0])))
        except (ValueError, OSError) as error:
            arrived.problem = str(error)
            return
        size = memory.size_of(arrived.fd)
        if size >= PROGRESS_BYTES:
            answering.send(Kind.STATUS, {"part": name, "checked": size}, flags=Flags.OPTIONAL)

    def _restore(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        try:
            taken, dropped = self._load(body)
        except (ValueError, OSError) as error:
            answering.send(Kind.NACK, {"code": "load", "text": str(error)})
            return
        finally:
            self.connection_lost()
        self._restored = {"digests": body.get("digests", {}), "parts": taken, "dropped": dropped}
        answering.send(Kind.RESTORED, self._restored)
        self._restored["txn"] = body.get("txn")

    def _load(self, body: Body) -> tuple[list[str], list[str]]:
        """Check everything before anything is changed."""
        digests: Mapping[str, str] = body.get("digests", {})
        wanted = {str(each["part"]): each for each in body.get("parts", [])}
        dropped = sorted(set(wanted) - set(self._parts))
        taken = [name for name in wanted if name in self._parts]
        for name in taken:
            self._check(name, wanted[name], digests.get(name, ""))
        puts = []
        for name in taken:
            part, fd = self._parts[name], self._arrived[name].fd
            puts.append(part.take(fd, part.content(fd)))
        for put in puts:
            put()
        return taken, dropped

    def _check(self, name: str, manifest: Body, digest: str) -> None:
        part, arrived = self._parts[name], self._arrived.get(name)
        if arrived is None:
            raise LoadError(f"part {name!r} was announced and has not arrived")
        if manifest.get("version") not in part.versions:
            raise LoadError(
                f"part {name!r} has version {manifest.get('version')}; this code takes {sorted(part.versions)}: "
                f"name the versions it can load in `versions=`"
            )
        if manifest.get("codec") != part.codec:
            raise LoadError(f"part {name!r} is encoded as {manifest.get('codec')}; this code takes {part.codec}")
        if arrived.problem:
            raise LoadError(arrived.problem)
        if arrived.digest != digest and not (part.is_live and not digest):
            raise LoadError(f"part {name!r} has digest {arrived.digest}, its sender says {digest}")

    # --- roles -------------------------------------------------------------------------------------------------------

    def _accept(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        for part in list(self._parts.values()):
            part.settle()
        self._gate.activate()
        answering.send(Kind.ACCEPTING)

    def _standby(self, answering: _Answering, body: Body, arrival: Arrival) -> None:
        self._gate.standby()
        self._acknowledge(answering, body, arrival)

    def _resume(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        self._resumes += 1
        self._gate.resume()
        answering.send(Kind.RESUMED)
        self._work.put(lambda: self._call(self._hooks.resume))

    def _lease(self, answering: _Answering, body: Body, arrival: Arrival) -> None:
        """Who loses the lease says so when its hooks are done; who gets it has it at once."""
        granted = bool(body.get("granted"))
        has_changed, self.has_lease = granted != self.has_lease, granted
        if granted or not has_changed:
            self._acknowledge(answering, body, arrival)
        if has_changed and granted:
            self._work.put(lambda: self._call(self._hooks.acquired))
        elif has_changed:
            self._work.put(lambda: self._revoke(answering))

    def _revoke(self, answering: _Answering) -> None:
        self._call(self._hooks.revoked)
        answering.try_send(Kind.ACK, {"of": int(Kind.LEASE)})

    def _drain(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        self._gate.start_drain(int(body.get("lame_duck_ms", 0)))
        answering.send(Kind.DRAINED, {"inflight": self._gate.inflight})
        self._work.put(lambda: self._call(self._hooks.drain))

    def _call(self, hooks: list[Hook]) -> None:
        """A hook that only hears of a change cannot stop it."""
        try:
            self._hooks.run(hooks)
        except Exception:
            log.exception("a handover hook failed", extra={"action": "handover.hook"})

    # --- questions ---------------------------------------------------------------------------------------------------

    def _acknowledge(self, answering: _Answering, body: Body, arrival: Arrival) -> None:
        answering.send(Kind.ACK, {"of": arrival.kind})

    def _ping(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        answering.send(Kind.PONG, {"inflight": self._gate.inflight, "gate": self._gate.role})

    def _status(self, answering: _Answering, body: Body, _arrival: Arrival) -> None:
        restored = self._restored if self._restored.get("txn") == body.get("txn") else {}
        answering.send(Kind.STATUS, {"gate": self._gate.role, "restored": restored})


class _Answering:
    """Sends answers that say which question of which handover they are about."""

    def __init__(self, channel: Channel, txn: int, question: object) -> None:
        self._channel = channel
        self._about = {"txn": txn} if question is None else {"txn": txn, "re": question}

    def send(self, kind: Kind, body: Body | None = None, fd: int = -1, *, flags: Flags = Flags.NONE) -> None:
        """Raises `OSError`."""
        self._channel.send(kind, {**(body or {}), **self._about}, fd, flags=flags)

    def try_send(self, kind: Kind, body: Body) -> None:
        """The same from the second thread: when the connection is gone, nobody waits for the answer."""
        with suppress(OSError):
            self.send(kind, body)


class _Arrived:
    """A memory that has come, and what was found out about it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.digest = ""
        self.problem = ""

    def close(self) -> None:
        with suppress(OSError):
            os.close(self.fd)
