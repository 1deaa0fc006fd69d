"""The process's end of SRP: one thread that keeps a connection to the supervisor and does what it is asked.

It is a thread, and blocking, so that asyncio servers and threaded ones are served alike. When the connection breaks
(the supervisor's daemon was replaced) it connects again and says where it stands; after a fork, the child has a
connection of its own. Nothing here runs unless the process was started by a supervisor.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aeterna.handover import memory
from aeterna.handover.channel import Channel
from aeterna.handover.frames import FrameError, Kind
from aeterna.handover.gate import Gate, bare_gate
from aeterna.handover.hooks import Hooks
from aeterna.handover.parts import Part
from aeterna.handover.relayed import Relayed

log = logging.getLogger("aeterna.handover")

FIRST_RETRY_S = 0.02
RETRY_S_MAX = 0.5


class Client:
    """The connection of one process; ``environ`` says whether there is a supervisor, and where."""

    def __init__(self, environ: Mapping[str, str], gate: Gate) -> None:
        self._path = environ.get("AETERNA_STATE_SOCK") or environ.get("LIVERELAY_STATE_SOCK", "")
        self.generation = int(environ.get("AETERNA_GENERATION") or 0)
        self._service = environ.get("AETERNA_SERVICE", "")
        self._token = environ.get("AETERNA_INSTANCE", "")
        self.hooks = Hooks()
        self.parts: dict[str, Part] = {}
        is_candidate = environ.get("AETERNA_ROLE") == "candidate"
        self._relayed = Relayed(gate, self.parts, self.hooks, has_lease=not is_candidate)
        self._gate = gate
        self._lock = threading.Lock()
        self._hello_lock = threading.Lock()
        self._channel: Channel | None = None
        self._said: tuple[Channel, int] | None = None
        self._heard: tuple[Channel, int] | None = None
        self._was_heard = threading.Condition()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    @property
    def is_managed(self) -> bool:
        """Whether a supervisor runs this process."""
        return bool(self._path and self._token)

    @property
    def has_lease(self) -> bool:
        return self._relayed.has_lease or not self.is_managed

    def start(self) -> None:
        """Begin to talk to the supervisor; further calls do nothing."""
        if not self.is_managed or self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                # In this thread: a fork amid another thread's import would leave the child waiting for ever.
                memory.warm_up()
                self._thread = threading.Thread(target=self._run, name="aeterna-handover", daemon=True)
                self._thread.start()

    def declare(self, part: Part) -> None:
        """A part of the state exists from now on."""
        self.parts[part.name] = part
        self.start()
        channel = self._channel
        said = self._said
        # The first word on a connection is the thread's, and says everything.
        if channel is not None and said is not None and said[0] is channel:
            with suppress(OSError):
                self._say_hello(channel)

    def wait_heard(self, timeout_s: float) -> bool:
        """Wait until the supervisor knows every part there is now; False if it does not say so in that time."""
        if not self.is_managed:
            return True
        with self._was_heard:
            return self._was_heard.wait_for(lambda: self._heard == (self._channel, len(self.parts)), timeout_s)

    def stop(self) -> None:
        """Say nothing any more; returns when the thread has ended."""
        self._over.set()
        channel, thread = self._channel, self._thread
        if channel is not None:
            channel.hang_up()
        if thread is not None:
            thread.join()

    def forked(self) -> None:
        """The process is a child now: the parent's threads do not exist here, and the connection is the parent's."""
        was_running, channel = self._thread is not None, self._channel
        self._thread, self._channel, self._said, self._heard = None, None, None, None
        self._lock, self._hello_lock, self._over = threading.Lock(), threading.Lock(), threading.Event()
        self._was_heard = threading.Condition()
        self._gate.forked()
        self._relayed.forked()
        if channel is not None:
            channel.abandon()
        if was_running:
            self.start()

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait_s = FIRST_RETRY_S
        while not self._over.is_set():
            # Known from its first moment on, so that a forked child can close it.
            channel = self._channel = Channel(socket.socket(socket.AF_UNIX))
            try:
                channel.connect(self._path)
                self._say_hello(channel)
                while not self._over.is_set():
                    self._obey(channel)
                    wait_s = FIRST_RETRY_S
            except (OSError, FrameError) as error:
                log.debug("the supervisor cannot be reached: %s", error, extra={"action": "handover.reconnect"})
            finally:
                self._channel = None
                self._relayed.connection_lost()
                channel.close()
            self._over.wait(wait_s)
            wait_s = min(wait_s * 2, RETRY_S_MAX)
        self._relayed.stop()

    def _obey(self, channel: Channel) -> None:
        arrival = channel.receive()
        try:
            if arrival.kind == Kind.ACK:
                self._note_heard(arrival.json())
            else:
                self._relayed.handle(channel, arrival)
        finally:
            arrival.close()

    def _note_heard(self, body: Mapping[str, Any]) -> None:
        """The supervisor has acknowledged a hello; each says how many parts there were."""
        channel, parts = self._channel, body.get("parts")
        if body.get("of") == Kind.HELLO and channel is not None and isinstance(parts, int):
            with self._was_heard:
                self._heard = channel, parts
                self._was_heard.notify_all()

    def _say_hello(self, channel: Channel) -> None:
        """Say who this is and what it has. What is said last is complete: a part is there before anybody says it."""
        with self._hello_lock:
            wanted = channel, len(self.parts)
            if self._said != wanted:
                # Noted first: who declares while this is being said says it again.
                self._said = wanted
                channel.send(Kind.HELLO, self._hello())

    def _hello(self) -> dict[str, Any]:
        return {
            "role": "active" if self._relayed.has_lease else "candidate",
            "service": self._service,
            "generation": self.generation,
            "token": self._token,
            "pid": os.getpid(),
            "gate": self._gate.role,
            "lease": self._relayed.has_lease,
            "txn": self._relayed.txn,
            "fds": True,
            "parts": [
                {"part": part.name, "codec": part.codec, "version": part.version, "takes": sorted(part.versions)}
                for part in list(self.parts.values())
            ],
        }


_CLIENT = Client(os.environ, bare_gate())
os.register_at_fork(after_in_child=_CLIENT.forked)


def client() -> Client:
    """The client of this process."""
    return _CLIENT


def connect() -> None:
    """Begin to talk to the supervisor, if there is one; further calls do nothing."""
    _CLIENT.start()
