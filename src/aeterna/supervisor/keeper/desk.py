"""What is kept for the daemon, and the daemon's requests about it.

It knows the protocol and the processes, not when daemons come and go. Invariants: an exit is forgotten only when a
daemon has acknowledged it; the answer to a spawn comes before the notice of that process's exit; and nothing is known
to the daemon alone: what it would need after its death is here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
from collections.abc import Callable

from aeterna.supervisor.keeper import children
from aeterna.supervisor.keeper.children import Offspring, Start, Traces
from aeterna.supervisor.keeper.wire import PROTOCOL, Link, LinkError, Message, close_fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from aeterna.supervisor.keeper.wire import Body


class Hooks:
    """What requests mean for the keeper's own life. ``announce`` returns a descriptor for the daemon's output, which
    belongs to the answer, or -1."""

    __slots__ = ("announce", "finish", "greeted")

    def __init__(
        self, greeted: Callable[[], None], announce: Callable[[int, str], int], finish: Callable[[int], None]
    ) -> None:
        self.greeted = greeted
        self.announce = announce
        self.finish = finish


class Desk:
    """Answers requests. ``daemon_starts`` is counted by the owner."""

    def __init__(self, selector: selectors.BaseSelector, traces: Traces, hooks: Hooks) -> None:
        self._selector = selector
        self._traces = traces
        self._hooks = hooks
        self._record: bytes | None = None
        self._fds: dict[str, int] = {}
        self._by_key: dict[str, Offspring] = {}
        self._by_pid: dict[int, Offspring] = {}
        self._asked: dict[int, tuple[Link, Any]] = {}
        """Who waits for the answer to a spawn, by pid: the link, and the number of the question."""
        self.group_roots: set[str] = set()
        """Where control groups were made for processes."""
        self.orphans_reaped = 0
        self._orphans_told = 0
        self.daemon_starts = 0
        self._handlers: dict[str, Callable[[Link, Message], None]] = {
            "hello": self._hello,
            "spawn": self._spawn,
            "claim": self._claim,
            "ack": self._ack,
            "keep": self._keep,
            "drop": self._drop,
            "record": self._put_record,
            "announce": self._announce,
            "finish": self._finish,
        }

    def living(self) -> list[int]:
        """The pids of all processes that were spawned here and have not ended."""
        return list(self._by_pid)

    def handle(self, link: Link, message: Message) -> None:
        """Do what the message asks; a malformed or unknown one gets an error for an answer."""
        handler = self._handlers.get(str(message.body.get("op")))
        try:
            if handler is None:
                raise ValueError(f"this keeper knows no {message.body.get('op')!r}")
            handler(link, message)
        except OSError as error:
            _refuse(link, message, error.errno or errno.EIO, "keeper", str(error))
        except (KeyError, TypeError, ValueError) as error:
            _refuse(link, message, errno.EINVAL, "request", f"malformed request: {error!r}")
        finally:
            message.close()

    def note_exit(self, pid: int, found: Body, link: Link | None) -> None:
        """Keep how a process ended, and tell the daemon if there is one; one that is not ours counts as an orphan."""
        offspring = self._by_pid.get(pid)
        if offspring is None:
            self.orphans_reaped += 1
            return
        if offspring.start is Start.PENDING:
            self._look_at_start(offspring)
        del self._by_pid[pid]
        if self._by_key.get(offspring.key) is offspring:
            offspring.exit = {"key": offspring.key, **found}
            if link is not None:
                _send(link, {"op": "exit", **offspring.exit})

    def tell_orphans(self, link: Link | None) -> None:
        """Tell the daemon how many orphans there have been, if that has changed."""
        if link is not None and self.orphans_reaped != self._orphans_told:
            self._orphans_told = self.orphans_reaped
            _send(link, {"op": "orphans", "count": self.orphans_reaped})

    # --- requests ----------------------------------------------------------------------------------------------------

    def _hello(self, link: Link, message: Message) -> None:
        offsprings = list(self._by_key.values())
        fds: list[int] = []
        try:
            fds += [os.dup(fd) for fd in self._fds.values()]
            fds += [os.pidfd_open(each.pid) for each in offsprings if each.exit is None]
        except OSError as error:
            close_fds(fds)
            _refuse(link, message, error.errno or errno.EMFILE, "inventory", str(error))
            return
        self._hooks.greeted()
        body = {
            "protocol": PROTOCOL,
            "has_record": self._record is not None,
            "fds": list(self._fds),
            "children": [
                {"key": each.key, "pid": each.pid, "start": each.start_time_ticks, "exit": each.exit}
                for each in offsprings
            ],
            "orphans": self.orphans_reaped,
            "daemon_starts": self.daemon_starts,
        }
        _answer(link, message, body, self._record or b"", fds)

    def _spawn(self, link: Link, message: Message) -> None:
        key, number = message.body["key"], message.body["id"]
        if key in self._by_key:
            _refuse(link, message, errno.EEXIST, "key", f"there is a process {key!r} that has not been acknowledged")
            return
        if message.is_short:
            _refuse(link, message, errno.EMFILE, "fds", "the keeper has too many open files")
            return
        fds = message.take_fds()
        try:
            offspring = children.launch(message.body, fds, self._traces)
        except OSError as error:
            _refuse(link, message, error.errno or errno.EAGAIN, "fork", f"cannot make a process: {error}")
            return
        finally:
            close_fds(fds)
        self._by_key[key] = self._by_pid[offspring.pid] = offspring
        if message.body.get("cgroup"):
            self.group_roots.add(message.body["cgroup"].rpartition("/")[0])
        self._asked[offspring.pid] = (link, number)
        self._selector.register(offspring.failure_fd, selectors.EVENT_READ, lambda: self._look_at_start(offspring))

    def _look_at_start(self, offspring: Offspring) -> None:
        """Answer a spawn as soon as it is known whether the exec succeeded."""
        failure_fd = offspring.failure_fd
        if not children.settle(offspring):
            return
        # Closed before it is unregistered: the selector copes, and nothing has been opened in between.
        self._selector.unregister(failure_fd)
        link, asked_number = self._asked.pop(offspring.pid)
        pidfd, offspring.pidfd = offspring.pidfd, -1
        if link.is_closed:
            # Nobody waits; the next daemon finds the process, or its end, in the inventory.
            close_fds([pidfd])
            return
        answer: Body = {"op": "answer", "id": asked_number, "key": offspring.key}
        if offspring.start is Start.DONE:
            answer |= {"pid": offspring.pid, "start": offspring.start_time_ticks}
            _send(link, answer, fds=[pidfd])
        else:
            close_fds([pidfd])
            del self._by_key[offspring.key]
            number, step, text = offspring.failure
            _send(link, {**answer, "errno": number, "step": step, "text": text})

    def _claim(self, link: Link, message: Message) -> None:
        """A process that has ended has left one behind, which takes its place. It must have come to us."""
        key, pid = message.body["key"], int(message.body["pid"])
        ended = self._by_key.get(key)
        if ended is None or ended.exit is None or pid in self._by_pid or pid not in children.direct_children():
            _refuse(link, message, errno.ESRCH, "claim", f"process {pid} cannot take the place of {key!r}")
            return
        offspring = Offspring(key, pid, -1)
        offspring.start = Start.DONE
        pidfd, offspring.pidfd = offspring.pidfd, -1
        self._by_key[key] = self._by_pid[pid] = offspring
        _answer(link, message, {"pid": pid, "start": offspring.start_time_ticks}, fds=[pidfd])

    def _ack(self, link: Link, message: Message) -> None:
        offspring = self._by_key.get(message.body["key"])
        if offspring is not None and offspring.exit is not None:
            del self._by_key[offspring.key]

    def _keep(self, link: Link, message: Message) -> None:
        key: str = message.body["key"]
        fds = message.take_fds()
        if len(fds) != 1:
            close_fds(fds)
            _send(link, {"op": "trouble", "text": f"the keeper has too many open files to keep {key!r}"})
            return
        close_fds([self._fds[key]] if key in self._fds else [])
        self._fds[key] = fds[0]

    def _drop(self, link: Link, message: Message) -> None:
        fd = self._fds.pop(message.body["key"], None)
        close_fds([] if fd is None else [fd])

    def _put_record(self, link: Link, message: Message) -> None:
        self._record = message.blob
        _answer(link, message, {})

    def _announce(self, link: Link, message: Message) -> None:
        fd = self._hooks.announce(int(message.body["code"]), str(message.body["text"]))
        _answer(link, message, {}, fds=[] if fd < 0 else [fd])

    def _finish(self, link: Link, message: Message) -> None:
        self._hooks.finish(int(message.body["code"]))
        _answer(link, message, {})


def _answer(link: Link, to: Message, body: Body, blob: bytes = b"", fds: list[int] | None = None) -> None:
    _send(link, {"op": "answer", "id": to.body.get("id"), **body}, blob, fds)


def _refuse(link: Link, to: Message, number: int, step: str, text: str) -> None:
    if "id" in to.body:
        _answer(link, to, {"errno": number, "step": step, "text": text})
    else:
        _send(link, {"op": "trouble", "text": text})


def _send(link: Link, body: Body, blob: bytes = b"", fds: list[int] | None = None) -> None:
    # If the daemon is going, what it should have heard is in the inventory of the next one.
    with contextlib.suppress(LinkError):
        link.send(body, blob, fds or [])


def complain(text: str) -> None:
    """Say it on standard error, if anybody still listens there."""
    with contextlib.suppress(OSError):
        os.write(2, f"aeterna keeper: {text}\n".encode(errors="replace"))
