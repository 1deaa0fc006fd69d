# ruff: noqa: PTH105, PTH108, PTH123, PTH208 - small: no pathlib
"""What the keeper makes of itself before its loop: options, background, descriptors, limits, the role of a reaper.

It knows nothing of daemons and children. Invariant: when `run` enters the loop, every descriptor but the standard ones
is closed on exec, and whoever started a keeper in the background still waits for one word.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import resource
import signal
from collections.abc import Iterator, Sequence

from aeterna.supervisor.keeper.children import Traces
from aeterna.supervisor.keeper.desk import complain
from aeterna.supervisor.keeper.keeper import Keeper, Settings

_PR_SET_CHILD_SUBREAPER = 36
_WORD_BYTES_MAX = 65536


def run(arguments: Sequence[str], arrived: list[int]) -> int:
    """Become a keeper and be one until the end; returns the exit code. ``arrived``: where OS signals are noted."""
    options = _parse(arguments)
    _open_missing_standard_fds()
    starter = _Starter(options.log)
    if options.detach:
        code = starter.detach()
        if code is not None:
            return code
    _own_fds({*options.keep_fd, starter.fd})
    soft_nofile = _raise_nofile()
    if os.getpid() != 1:
        _become_subreaper()
    wake_fd = _make_wakeups()
    settings = Settings(options.daemon, options.stop_grace_s, starter.announce)
    traces = Traces(soft_nofile)
    gc.freeze()
    try:
        with _pid_file(options.pid_file):
            code = Keeper(settings, traces, arrived, wake_fd).run()
    except OSError as error:
        complain(str(error))
        code = 1
    starter.announce(code, "")
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="keeper", description="Keep a daemon and its processes alive.")
    parser.add_argument("--detach", action="store_true", help="go to the background; return when the daemon is up")
    parser.add_argument("--log", default=os.devnull, help="where the output goes when detached")
    parser.add_argument("--pid-file", default="", help="holds the keeper's pid while it runs")
    parser.add_argument("--keep-fd", type=int, action="append", default=[], help="an inherited descriptor to hold")
    parser.add_argument("--stop-grace-s", type=float, default=10.0, help="from TERM to KILL when there is no daemon")
    parser.add_argument("daemon", nargs="+", help="the daemon's command")
    return parser.parse_args(arguments)


class _Starter:
    """Whoever started a keeper that detached, and waits to hear how it went. In the foreground there is nobody."""

    def __init__(self, log_path: str) -> None:
        self._log_path = log_path
        self.fd = -1

    def detach(self) -> int | None:
        """Go to the background. Returns the exit code in the starting process, None in the keeper.

        Both forks are needed: the session detaches from the terminal, and a process that does not lead its session
        cannot get another one. Output goes to the starter's until `announce`, so that early errors are seen.
        """
        read_fd, write_fd = os.pipe()
        if os.fork():
            os.close(write_fd)
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(each, signal.SIG_DFL)
            return _hear(read_fd)
        os.close(read_fd)
        os.setsid()
        if os.fork():
            os._exit(0)
        self.fd = write_fd
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.close(null)
        return None

    def announce(self, code: int, text: str) -> int:
        """Tell the starter, once, and move the own output to the log; returns a descriptor of the log, or -1."""
        if self.fd < 0:
            return -1
        with contextlib.suppress(OSError):
            os.write(self.fd, f"{code} {text}".encode(errors="replace")[:_WORD_BYTES_MAX])
        os.close(self.fd)
        self.fd = -1
        try:
            log = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        except OSError as error:
            complain(f"cannot open the log {self._log_path!r}: {error}")
            log = os.open(os.devnull, os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        return log


def _hear(read_fd: int) -> int:
    """Wait for the word of the keeper; returns the exit code it carries, 1 if it dies without one."""
    word = bytearray()
    while data := os.read(read_fd, _WORD_BYTES_MAX):
        word += data
    code, _, text = word.decode(errors="replace").partition(" ")
    if text:
        complain(text)
    if not code:
        complain("died before it could tell how the start went")
    return int(code or 1)


def _open_missing_standard_fds() -> None:
    """Otherwise the first file or socket would become standard output."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _own_fds(kept: set[int]) -> None:
    """Close what was inherited by accident, and have the rest closed on exec: a lock or a pipe must not leak."""
    try:
        found = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        found = list(range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    for fd in found:
        if fd <= 2:
            continue
        with contextlib.suppress(OSError):
            if fd in kept:
                os.set_inheritable(fd, False)
            else:
                os.close(fd)


def _raise_nofile() -> int:
    """Allow this process as many descriptors as it may have; returns the soft limit that children should get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def _become_subreaper() -> None:
    """Get the orphans of all processes below, as process 1 gets them anyway."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        complain(f"cannot become a subreaper ({os.strerror(ctypes.get_errno())}); orphans may be left at the end")


def _make_wakeups() -> int:
    """A pipe that becomes readable on every OS signal."""
    read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    return read_fd


@contextlib.contextmanager
def _pid_file(path: str) -> Iterator[None]:
    """Write it for the time of the block; a file that another keeper has written meanwhile stays."""
    if not path:
        yield
        return
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    os.replace(temporary, path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            if file.read().strip() == str(os.getpid()):
                os.unlink(path)
