# ruff: noqa: TID251 - this process has no package to take a clock from
"""The keeper's loop: one daemon that may die, and processes that must not notice.

It decides nothing about services; the daemon does. It decides what nobody else can: when to start the daemon again,
and how to stop when there is none. Invariants: nothing in the loop waits for the daemon or for a child; an OS signal
reaches a daemon only after it has greeted, when its handlers are in place, and a request to stop is repeated to the
next daemon if the first one dies over it.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable

from aeterna.supervisor.keeper import children
from aeterna.supervisor.keeper.children import Offspring, Start, Traces
from aeterna.supervisor.keeper.desk import Desk, Hooks, complain
from aeterna.supervisor.keeper.wire import Link, LinkError, close_fds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.supervisor.keeper.wire import Body

UPGRADE_EXIT_CODE = 75
NO_DAEMON_EXIT_CODE = 70
"""The keeper had to stop everything without a daemon (EX_SOFTWARE)."""

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_BACKOFF_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
_STEADY_S = 10.0  # a daemon that lived that long does not count as crashing
_CRASH_LOOP = 3  # deaths in a row after which no daemon can be kept alive
_LEAVING_S = 2.0  # for a daemon that has finished, or has closed the link, to be gone
_GREETING_S = 15.0  # for a daemon to greet when a request to stop waits for it
_KILLING_S = 10.0
_AFTER_FAULT_S = 0.1  # so that a fault that comes again and again does not keep a processor busy
_NEVER = float("inf")


class Settings:
    """``command``: the daemon's. ``stop_grace_s``: between TERM and KILL when the keeper itself has to stop all.
    ``announce``: see `desk.Hooks`."""

    __slots__ = ("announce", "command", "stop_grace_s")

    def __init__(self, command: list[str], stop_grace_s: float, announce: Callable[[int, str], int]) -> None:
        self.command = command
        self.stop_grace_s = stop_grace_s
        self.announce = announce


class _Due:
    """When something is to be done, in seconds of the monotonic clock."""

    __slots__ = ("kill_all", "kill_daemon", "start")

    def __init__(self) -> None:
        self.start = self.kill_daemon = self.kill_all = _NEVER


class Keeper:
    """Runs until `run` returns the exit code. ``arrived`` is where handlers put OS signals, ``wake_fd`` what they make
    readable."""

    def __init__(self, settings: Settings, traces: Traces, arrived: list[int], wake_fd: int) -> None:
        self._settings = settings
        self._traces = traces
        self._arrived = arrived
        self._wake_fd = wake_fd
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake_fd, selectors.EVENT_READ, lambda: children.drain(wake_fd))
        hooks = Hooks(self._greeted, settings.announce, self._finish)
        self._desk = Desk(self._selector, traces, hooks)
        self._link: Link | None = None
        self._watched_events = 0
        self._daemon: Offspring | None = None
        self._daemon_started_s = 0.0
        self._has_greeted = False
        self._has_ever_greeted = False
        self._deaths_in_a_row = 0
        self._held_signals: list[int] = []
        self._stop_signal = 0
        self._deaths_since_stop = 0
        self._interrupts = 0
        self._is_stopping_alone = False
        self._finish_code: int | None = None
        self._exit_code: int | None = None
        self._due = _Due()

    def run(self) -> int:
        """Keep until there is nothing more to keep; returns the exit code, with no process left below."""
        self._start_daemon()
        while True:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - all processes hang on this one, so it goes on, with a new daemon
                complain(f"a fault of its own, please report it: {type(error).__name__}: {error}")
                self._unlink()
                time.sleep(_AFTER_FAULT_S)
            if self._exit_code is not None:
                break
        if not children.kill_everything(self._wake_fd, _KILLING_S):
            complain("some processes could not be killed and are left behind")
        children.remove_groups(self._desk.group_roots)
        return self._exit_code

    def _turn(self) -> None:
        # First the signals: one may have come before there was anything to wake.
        self._take_signals()
        self._reap()
        self._do_what_is_due()
        self._watch_link()
        if self._exit_code is None:
            wait_s = min(self._due.start, self._due.kill_daemon, self._due.kill_all) - _now()
            for key, _events in self._selector.select(None if wait_s == _NEVER else max(wait_s, 0)):
                key.data()

    # --- the daemon's life -------------------------------------------------------------------------------------------

    def _start_daemon(self) -> None:
        ours, theirs = socket.socketpair()
        self._due.start = _NEVER
        env = {**os.environ, "AETERNA_KEEPER_FD": str(children.FIRST_FD)}
        request = {"key": "", "argv": self._settings.command, "env": env}
        try:
            offspring = children.launch(request, [theirs.fileno()], self._traces)
        except OSError as error:
            ours.close()
            complain(f"cannot make a process for the daemon: {error}")
            self._bury({"code": 1, "os_signal": None})
            return
        finally:
            theirs.close()
        self._desk.daemon_starts += 1
        self._daemon, self._daemon_started_s, self._has_greeted = offspring, _now(), False
        self._link = Link(ours)
        self._watched_events = 0
        close_fds([offspring.pidfd])  # the daemon is addressed by its pid: nobody else can reap it
        self._selector.register(offspring.failure_fd, selectors.EVENT_READ, self._look_at_start)

    def _look_at_start(self) -> None:
        daemon = self._daemon
        if daemon is None or daemon.start is not Start.PENDING:
            return
        failure_fd = daemon.failure_fd
        if children.settle(daemon):
            self._selector.unregister(failure_fd)
            if daemon.failure[0]:
                complain(f"cannot run the daemon: {daemon.failure[2]}")

    def _serve(self) -> None:
        """Read what the daemon asks, write what it has not taken yet."""
        link = self._link
        if link is None:
            return
        try:
            link.flush()
        except LinkError:
            self._unlink()
            return
        messages = link.receive()
        if link.is_closed:
            self._unlink()
        for message in messages:
            self._desk.handle(link, message)

    def _watch_link(self) -> None:
        """Wait for the link to be readable, always, and writable, while something is unsent."""
        link = self._link
        if link is None:
            return
        if link.is_closed:
            self._unlink()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.has_unsent else 0)
        if wanted == self._watched_events:
            return
        if self._watched_events:
            self._selector.modify(link, wanted, self._serve)
        else:
            self._selector.register(link, wanted, self._serve)
        self._watched_events = wanted

    def _unlink(self) -> None:
        """The link is closed, or will be: the daemon should be gone soon."""
        link, self._link = self._link, None
        if link is None:
            return
        if self._watched_events:
            self._selector.unregister(link)
            self._watched_events = 0
        link.close()
        if link.fault:
            complain(f"what the daemon sent is {link.fault}; it is killed")
        self._due.kill_daemon = min(self._due.kill_daemon, _now() + (0 if link.fault else _LEAVING_S))

    def _bury(self, found: Body) -> None:
        """The daemon has ended: take what it had still sent, and decide what comes next."""
        while self._link is not None:
            link = self._link
            messages = link.receive()
            for message in messages:
                self._desk.handle(link, message)
            if not messages:
                self._unlink()
        self._look_at_start()
        self._daemon, self._due.kill_daemon = None, _NEVER
        code, os_signal = found["code"], found["os_signal"]
        if self._finish_code is not None:
            self._exit_code = self._finish_code
        elif not self._has_ever_greeted:
            # It never came to life, and there is nothing to keep: a fault in the installation or the command.
            self._exit_code = 128 + os_signal if code is None else code
        elif self._stop_signal:
            self._deaths_since_stop += 1
            self._held_signals = [self._stop_signal]
            self._restart(0.0) if self._deaths_since_stop < 2 else self._stop_alone()
        elif code == UPGRADE_EXIT_CODE:
            self._restart(0.0)
        else:
            self._crashed(f"was killed by signal {os_signal}" if code is None else f"exited with code {code}")

    def _crashed(self, how: str) -> None:
        is_steady = _now() - self._daemon_started_s >= _STEADY_S
        self._deaths_in_a_row = 1 if is_steady else self._deaths_in_a_row + 1
        delay_s = _BACKOFF_S[min(self._deaths_in_a_row, len(_BACKOFF_S)) - 1]
        often = f" for the {self._deaths_in_a_row}th time in a row" if self._deaths_in_a_row >= _CRASH_LOOP else ""
        complain(
            f"the daemon {how}{often}; starting it again {f'in {delay_s:g} s' if delay_s else 'at once'}; "
            f"{len(self._desk.living())} processes keep running"
        )
        self._restart(delay_s)

    def _restart(self, delay_s: float) -> None:
        self._due.start = _now() + delay_s

    # --- what the daemon tells about its life ------------------------------------------------------------------------

    def _greeted(self) -> None:
        self._has_greeted = self._has_ever_greeted = True
        if self._finish_code is None:
            self._due.kill_daemon = _NEVER
        held, self._held_signals = self._held_signals, []
        for each in held:
            self._signal_daemon(each)

    def _signal_daemon(self, os_signal: int) -> None:
        if self._daemon is not None:
            os.kill(self._daemon.pid, os_signal)

    def _finish(self, code: int) -> None:
        self._finish_code = code
        self._due.kill_daemon = _now() + _LEAVING_S

    # --- signals, exits, deadlines -----------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        arrived, self._arrived[:] = list(self._arrived), []
        for each in arrived:
            if each in _STOPPING:
                self._asked_to_stop(each)
            if self._is_stopping_alone:
                continue
            if self._has_greeted and self._daemon is not None:
                self._signal_daemon(each)
            elif each not in self._held_signals:
                self._held_signals.append(each)

    def _asked_to_stop(self, os_signal: int) -> None:
        self._stop_signal = self._stop_signal or os_signal
        self._interrupts += os_signal == signal.SIGINT
        if self._interrupts >= 3 or (self._is_stopping_alone and self._interrupts >= 2):
            complain("interrupted again: killing everything")
            self._exit_code = NO_DAEMON_EXIT_CODE
        elif self._daemon is not None:
            if not self._has_greeted:
                self._due.kill_daemon = min(self._due.kill_daemon, _now() + _GREETING_S)
        elif not self._is_stopping_alone:
            self._stop_alone() if self._deaths_in_a_row >= _CRASH_LOOP else self._restart(0.0)

    def _stop_alone(self) -> None:
        """There is nobody to stop the services in order: TERM to all, KILL to what is left after the grace time."""
        self._is_stopping_alone = True
        living = self._desk.living()
        complain(f"no daemon can be kept alive; the keeper stops {len(living)} processes itself")
        self._due.start, self._due.kill_all = _NEVER, _now() + self._settings.stop_grace_s
        for pid in living:
            children.signal_group(pid, signal.SIGTERM)

    def _reap(self) -> None:
        buried: Body | None = None
        for pid, found in children.reap():
            if self._daemon is not None and pid == self._daemon.pid:
                buried = found
            else:
                self._desk.note_exit(pid, found, self._link)
        if buried is not None:
            self._bury(buried)
        self._desk.tell_orphans(self._link)
        if self._is_stopping_alone and not self._desk.living():
            self._exit_code = NO_DAEMON_EXIT_CODE

    def _do_what_is_due(self) -> None:
        now = _now()
        if self._due.start <= now:
            self._start_daemon()
        if self._due.kill_daemon <= now:
            self._due.kill_daemon = _NEVER
            self._signal_daemon(signal.SIGKILL)
        if self._due.kill_all <= now:
            self._exit_code = NO_DAEMON_EXIT_CODE


def _now() -> float:
    return time.monotonic()
