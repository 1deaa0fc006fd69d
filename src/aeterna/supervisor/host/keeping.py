"""The daemon's end of the link to the keeper: spawn, hear of exits, deposit what must outlive the daemon.

It knows the protocol and asyncio, not what the processes are for. Nothing in the daemon forks or waits for processes:
the keeper is the parent of all of them. Requests are carried out in the order in which they are made, also those that
have no answer, so what is awaited after a `keep` confirms the `keep`, too. An exit is reported until it is
acknowledged, to this daemon and to those after it.

Install handlers for the OS signals before `Keeping.connect`: the keeper holds signals back until then.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aeterna.kernel.errors import AeternaError, InvariantError
from aeterna.supervisor.keeper.wire import PROTOCOL, Link, LinkError, Message, close_fds

KEEPER_FD_VARIABLE = "AETERNA_KEEPER_FD"
"""Names the descriptor of the link in the daemon's environment."""

UPGRADE_EXIT_CODE = 75
"""A daemon that exits with this code is started again at once: it asked for its new code."""

KEEPER_MAIN = Path(__file__).parent.parent / "keeper" / "main.py"


class SpawnError(AeternaError):
    """The process could not be started. ``errno`` and the ``step`` that failed, such as ``exec`` or ``user``."""

    def __init__(self, errno: int, step: str, text: str) -> None:
        super().__init__(text)
        self.errno = errno
        self.step = step


class KeeperGoneError(AeternaError):
    """The keeper has ended or broken the link; nobody looks after the processes any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnRequest:
    """A process to start, in a session of its own, with default signal dispositions and no signal blocked.

    ``key`` names it in all later messages and must be new; use the instance's token. ``argv[0]`` is looked up in the
    PATH of ``env``, which is the whole environment; LISTEN_PID is added when ``listen_fds`` is above 0. ``rlimits``:
    soft limits by their lower-case name (``nofile``). ``cgroup_path``: a cgroup v2 directory to enter. The standard
    descriptors are given by number (they stay the caller's); None is /dev/null for input, the keeper's own for output.
    """

    key: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str = ""
    user: str = ""
    group: str = ""
    umask: int | None = None
    rlimits: Mapping[str, int] = field(default_factory=dict)
    nice: int = 0
    affinity: Sequence[int] = ()
    cgroup_path: str = ""
    listen_fds: int = 0
    stdin_fd: int | None = None
    stdout_fd: int | None = None
    stderr_fd: int | None = None


class Child:
    """A process below the keeper, addressed by its pidfd, which this object owns; ``key`` as requested."""

    __slots__ = ("key", "pid", "pidfd", "start_time_ticks")

    def __init__(self, key: str, pid: int, pidfd: int, start_time_ticks: int) -> None:
        self.key = key
        self.pid = pid
        self.pidfd = pidfd
        self.start_time_ticks = start_time_ticks

    def send_signal(self, os_signal: int) -> bool:
        """Send it to the process itself; False if it has ended (or this object is closed)."""
        if self.pidfd < 0:
            return False
        try:
            signal.pidfd_send_signal(self.pidfd, os_signal)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """Let go of the process. Idempotent."""
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: ``code``, or the OS signal that killed it; the other one is None."""

    key: str
    pid: int
    code: int | None
    os_signal: int | None
    core: bool
    rss_kb_max: int
    cpu_ms: int


@dataclass(frozen=True, slots=True)
class ChildState:
    """A process the keeper knows: running (``child``), or ended and not acknowledged (``exit``)."""

    key: str
    pid: int
    child: Child | None
    exit: Exit | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an earlier daemon left: its record (None: there was none), its descriptors by key, its processes.

    The descriptors and pidfds belong to whoever reads this. ``daemon_starts`` counts this daemon, too.
    """

    record: bytes | None
    fds: dict[str, int]
    children: tuple[ChildState, ...]
    daemon_starts: int


class Keeping:
    """The link to the keeper. Call `connect`, then take the `inventory`, then `watch`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._fd = link.fileno()
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._abandoned: set[str] = set()
        self._last_id = 0
        self._unheard: list[Exit] = []
        self._on_exit: Callable[[Exit], None] | None = None
        self._on_gone: Callable[[], None] | None = None
        self._on_trouble: Callable[[str], None] = _print_trouble
        self._inventory: Inventory | None = None
        self._is_writing = False
        self.orphans_reaped = 0
        """Processes nobody spawned through the keeper, whose parents died, and that have ended since it started."""

    @classmethod
    async def connect(cls, fd: int) -> Keeping:
        """Greet the keeper over this descriptor, which belongs to the result, and fetch the inventory.

        Raises `KeeperGoneError`.
        """
        keeping = cls(Link(socket.socket(fileno=fd)))
        keeping._loop.add_reader(fd, keeping._read)
        message = await keeping._ask({"op": "hello", "protocol": PROTOCOL})
        if "errno" in message.body:
            raise KeeperGoneError(f"the keeper cannot hand over what it holds: {message.body['text']}")
        keeping._inventory = _to_inventory(message)
        keeping.orphans_reaped = int(message.body["orphans"])
        return keeping

    def inventory(self) -> Inventory:
        """What was handed over at the start; can be taken once, because its descriptors change hands."""
        inventory, self._inventory = self._inventory, None
        if inventory is None:
            raise InvariantError("the keeper's inventory was taken before")
        return inventory

    def watch(
        self,
        on_exit: Callable[[Exit], None],
        on_gone: Callable[[], None],
        on_trouble: Callable[[str], None] | None = None,
    ) -> None:
        """Name who hears of exits (also those since `connect`), of the keeper's end, and of what went wrong silently.

        They are called by the event loop, an exit after whoever awaited that process's `spawn` has gone on. An exit may
        come for a key the daemon does not know; acknowledge it all the same.
        """
        self._on_exit, self._on_gone = on_exit, on_gone
        self._on_trouble = on_trouble or _print_trouble
        unheard, self._unheard = self._unheard, []
        for each in unheard:
            self._exited(each)

    async def spawn(self, request: SpawnRequest, fds: Sequence[int] = ()) -> Child:
        """Start the process; it gets the descriptors as 3, 4, 5, ... in their order, and they stay the caller's.

        Returns after the exec. Raises `SpawnError`, `KeeperGoneError`. If the caller is cancelled meanwhile, the
        process is killed and nothing more is heard of it.
        """
        standard = {
            name: fd
            for name, fd in (("stdin", request.stdin_fd), ("stdout", request.stdout_fd), ("stderr", request.stderr_fd))
            if fd is not None
        }
        body = {
            "op": "spawn",
            "key": request.key,
            "argv": list(request.argv),
            "env": dict(request.env),
            "cwd": request.cwd,
            "user": request.user,
            "group": request.group,
            "umask": request.umask,
            "rlimits": dict(request.rlimits),
            "nice": request.nice,
            "affinity": list(request.affinity),
            "cgroup": request.cgroup_path,
            "listen_fds": request.listen_fds,
            "standard": list(standard),
        }
        message = await self._ask(body, fds=[*standard.values(), *fds])
        if "errno" in message.body:
            raise SpawnError(message.body["errno"], message.body["step"], message.body["text"])
        (pidfd,) = message.take_fds()
        return Child(request.key, message.body["pid"], pidfd, message.body["start"])

    async def claim(self, key: str, pid: int) -> Child | None:
        """Let a process that has ended, and whose exit is not acknowledged, be followed by one that it left behind.

        Its exit is reported under the same key. None if there is no such process any more, or its parent still lives.
        """
        message = await self._ask({"op": "claim", "key": key, "pid": pid})
        if "errno" in message.body:
            return None
        (pidfd,) = message.take_fds()
        return Child(key, pid, pidfd, message.body["start"])

    def acknowledge(self, key: str) -> None:
        """The exit of this process has been dealt with: the keeper forgets it, and its key may be used again."""
        self._tell({"op": "ack", "key": key})

    def keep(self, key: str, fd: int) -> None:
        """Deposit a copy of the descriptor; one that was kept under the key before is closed."""
        self._tell({"op": "keep", "key": key}, fds=[fd])

    def drop(self, key: str) -> None:
        """Have the kept descriptor closed; no such key is no error."""
        self._tell({"op": "drop", "key": key})

    async def put_record(self, data: bytes) -> None:
        """Deposit the daemon's record in place of the last one; returns when the keeper has it."""
        await self._ask({"op": "record"}, blob=data)

    async def announce(self, code: int, text: str = "") -> None:
        """Tell whoever started a detached keeper that all is up (0) or not (the exit code and the reason).

        Returns when that is done. Output of a detached daemon goes to the log (or nowhere) from then on. A keeper
        in the foreground has nobody to tell.
        """
        message = await self._ask({"op": "announce", "code": code, "text": text})
        for fd in message.take_fds():
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            os.close(fd)

    async def finish(self, code: int) -> None:
        """Have the keeper kill everything that is left below it and exit with this code, as soon as this process ends.

        Returns when the request is sent; exit then. The link is of no use afterwards.
        """
        self._on_gone = None
        await self._ask({"op": "finish", "code": code})

    def close(self) -> None:
        """Leave. The keeper takes that for the end of this daemon, and will see to it. Idempotent."""
        self._on_gone = None
        self._leave()

    # --- messages ----------------------------------------------------------------------------------------------------

    async def _ask(self, body: dict[str, Any], *, blob: bytes = b"", fds: Sequence[int] = ()) -> Message:
        self._last_id += 1
        number = self._last_id
        self._tell({**body, "id": number}, blob=blob, fds=fds)
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[number] = answer
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():
                self._abandon(answer.result())
            raise
        finally:
            self._answers.pop(number, None)

    def _tell(self, body: dict[str, Any], *, blob: bytes = b"", fds: Sequence[int] = ()) -> None:
        copies: list[int] = []
        try:
            for fd in fds:
                copies.append(os.dup(fd))  # noqa: PERF401 - those made so far must be closed when one fails
        except OSError:
            close_fds(copies)
            raise
        try:
            self._link.send(body, blob, copies)
        except LinkError as error:
            self._leave()
            raise KeeperGoneError(f"the keeper cannot be reached: {error}") from error
        self._write_later()

    def _write_later(self) -> None:
        if self._link.is_closed or self._is_writing == self._link.has_unsent:
            return
        self._is_writing = self._link.has_unsent
        if self._is_writing:
            self._loop.add_writer(self._fd, self._write)
        else:
            self._loop.remove_writer(self._fd)

    def _write(self) -> None:
        try:
            self._link.flush()
        except LinkError:
            self._leave()
        else:
            self._write_later()

    def _read(self) -> None:
        for message in self._link.receive():
            self._dispatch(message)
        if self._link.is_closed:
            self._leave()

    def _dispatch(self, message: Message) -> None:
        body = message.body
        match body.get("op"):
            case "answer":
                answer = self._answers.pop(body["id"], None)
                if answer is None or answer.done():
                    self._abandon(message)
                else:
                    answer.set_result(message)
            case "exit":
                self._exited(_to_exit(body))
            case "orphans":
                self.orphans_reaped = body["count"]
            case "trouble":
                self._loop.call_soon(self._on_trouble, body["text"])
            case _:
                message.close()

    def _abandon(self, message: Message) -> None:
        """Nobody waits for this answer any more: a process that was spawned must not stay."""
        if "pid" in message.body:
            (pidfd,) = message.take_fds()
            child = Child(message.body["key"], message.body["pid"], pidfd, message.body["start"])
            child.send_signal(signal.SIGKILL)
            child.close()
            self._abandoned.add(child.key)
        message.close()

    def _exited(self, found: Exit) -> None:
        if found.key in self._abandoned:
            self._abandoned.discard(found.key)
            self.acknowledge(found.key)
        elif self._on_exit is None:
            self._unheard.append(found)
        else:
            # Not at once: the answer to this process's spawn may stand right before it, and must be taken first.
            self._loop.call_soon(self._on_exit, found)

    def _leave(self) -> None:
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._fd = -1
        self._link.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(KeeperGoneError("the keeper has gone"))
        self._answers.clear()
        on_gone, self._on_gone = self._on_gone, None
        if on_gone is not None:
            self._loop.call_soon(on_gone)


def keeper_command(
    daemon: Sequence[str], *, detach: bool = False, log_path: str = "", pid_path: str = "", keep_fds: Sequence[int] = ()
) -> list[str]:
    """The command that runs a keeper with this daemon command.

    ``detach``: go to the background; the command itself returns when the daemon has announced success (0) or failure.
    ``log_path``: where output goes then. ``pid_path``: a file to write the keeper's pid to, removed at its end.
    ``keep_fds``: inherited descriptors to hold for life, such as a locked file's; all others are closed.
    """
    options = [
        *(["--detach"] if detach else []),
        *(["--log", log_path] if log_path else []),
        *(["--pid-file", pid_path] if pid_path else []),
        *(part for fd in keep_fds for part in ("--keep-fd", str(fd))),
    ]
    return [sys.executable, "-I", "-S", str(KEEPER_MAIN), *options, "--", *daemon]


def _print_trouble(text: str) -> None:
    sys.stderr.write(f"aeterna: {text}\n")


def _to_exit(body: Mapping[str, Any]) -> Exit:
    return Exit(
        key=body["key"],
        pid=body["pid"],
        code=body["code"],
        os_signal=body["os_signal"],
        core=body["core"],
        rss_kb_max=body["rss_kb_max"],
        cpu_ms=body["cpu_ms"],
    )


def _to_inventory(message: Message) -> Inventory:
    body = message.body
    numbers = iter(message.take_fds())
    fds = {key: next(numbers) for key in body["fds"]}
    children: list[ChildState] = []
    for each in body["children"]:
        found = each["exit"]
        child = Child(each["key"], each["pid"], next(numbers), each["start"]) if found is None else None
        children.append(ChildState(each["key"], each["pid"], child, _to_exit(found) if found else None))
    return Inventory(
        record=message.blob if body["has_record"] else None,
        fds=fds,
        children=tuple(children),
        daemon_starts=body["daemon_starts"],
    )
