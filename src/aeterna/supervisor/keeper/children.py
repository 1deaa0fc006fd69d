# ruff: noqa: PTH106, PTH112, PTH123, PTH208, S606, TID251 - small: no pathlib, no package to take a clock from
"""The processes below the keeper: starting one, reaping what has ended, killing what is left.

It knows nothing of the daemon's protocol. Invariants: there is one thread, so a fork is safe and a pid cannot be reaped
(and used again) between two lines; only `reap` waits for processes, so no exit status can get lost.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum

from aeterna.supervisor.keeper import forking

# Not typing's, here and in the other files: a fork copies what is loaded, and this process is to be small.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from aeterna.supervisor.keeper.wire import Body

FIRST_FD = 3
HANDLED_SIGNALS = frozenset(
    {signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD}
)
"""Those the keeper has handlers for."""

# Those of `signal` make enums of what goes in and out: a fifth of a millisecond in every child.
_set_handler = getattr(sys.modules.get("_signal"), "signal", signal.signal)
_set_mask = getattr(sys.modules.get("_signal"), "pthread_sigmask", signal.pthread_sigmask)

_FAILURE_BYTES_MAX = 4096
_FAILED_CODE = 127


class Start(Enum):
    """How far a process has come: not yet known whether the exec succeeds; it has; it has not."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class Traces:
    """What the keeper has made of itself (or was started with) that its children must not inherit.

    ``soft_nofile``: the limit they get in place of the keeper's. Create it when all signal handlers are installed.
    """

    __slots__ = ("null_fd", "signals", "soft_nofile")

    def __init__(self, soft_nofile: int) -> None:
        self.soft_nofile = soft_nofile
        self.null_fd = os.open(os.devnull, os.O_RDONLY)
        # Python ignores two signals, and who started this may have ignored more; handlers vanish by themselves, but
        # must not run between fork and exec.
        self.signals = [
            number
            for number in signal.valid_signals()
            if signal.getsignal(number) != signal.SIG_DFL and number not in (signal.SIGKILL, signal.SIGSTOP)
        ]


class Offspring:
    """A process that was forked here.

    ``pidfd``: opened before it can be reaped; -1 when handed out. ``failure_fd``: where its failure to exec would be
    read; -1 when settled. ``failure``: errno, step and text. ``exit``: how it ended, None until then.
    """

    __slots__ = ("exit", "failure", "failure_fd", "key", "pid", "pidfd", "start", "start_time_ticks")

    def __init__(self, key: str, pid: int, failure_fd: int) -> None:
        self.key = key
        self.pid = pid
        self.failure_fd = failure_fd
        self.pidfd = os.pidfd_open(pid)
        self.start_time_ticks = start_time_ticks(pid)
        self.start = Start.PENDING
        self.failure = (0, "", "")
        self.exit: Body | None = None


def launch(request: Body, fds: Sequence[int], traces: Traces) -> Offspring:
    """Fork and, in the child, become what the spawn request asks for; `settle` tells how that went.

    ``fds``: first those for the names in the request's ``standard``, then those from 3 on; they stay the caller's.
    Raises OSError if there can be no new process, ValueError, KeyError or TypeError if the request is malformed.
    """
    key: str = request["key"]
    if not request["argv"] or len(fds) < len(request.get("standard", ())):
        raise ValueError("a command without a word, or fewer descriptors than promised")
    failure_fd, child_end = os.pipe()
    # A signal that arrived in the child before its handlers are gone would wake the parent's loop.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
    try:
        pid, is_in_group = forking.fork(request.get("cgroup", ""))
        if pid == 0:
            _become({**request, "cgroup": ""} if is_in_group else request, fds, child_end, traces)
    except OSError:
        os.close(failure_fd)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        os.close(child_end)
    os.set_blocking(failure_fd, False)
    try:
        return Offspring(key, pid, failure_fd)
    except OSError:
        # Nobody could address it. It is reaped as an orphan.
        os.kill(pid, signal.SIGKILL)
        os.close(failure_fd)
        raise


def settle(offspring: Offspring) -> bool:
    """Look whether the exec has succeeded (nothing to read, ever) or failed; False if that is still open."""
    try:
        data = os.read(offspring.failure_fd, _FAILURE_BYTES_MAX)
    except BlockingIOError:
        return False
    os.close(offspring.failure_fd)
    offspring.failure_fd = -1
    if data:
        number, step, text = data.decode(errors="replace").split(" ", 2)
        offspring.failure = (int(number), step, text)
    offspring.start = Start.FAILED if data else Start.DONE
    return True


def start_time_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot, which tells it from a later one of the same pid; 0: gone."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else 0


def _stat_fields(pid: int) -> list[bytes]:
    """What follows the name in the process's line, from its state on; empty if it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return []
    try:
        return os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)


# --- in the child ----------------------------------------------------------------------------------------------------


_REFUSALS = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What a step may raise: the system's no, and values of which nothing can be made."""


class _Failure(Exception):  # noqa: N818 - carries one to the parent
    """Which step could not be done, and why."""

    def __init__(self, step: str, error: Exception) -> None:
        super().__init__(step)
        number = error.errno if isinstance(error, OSError) and error.errno else 22
        text = error.args[0] if isinstance(error, KeyError) else error
        self.line = f"{number} {step} {step}: {text}"


def _become(request: Body, fds: Sequence[int], failure_fd: int, traces: Traces) -> NoReturn:
    try:
        failure_fd = _place_fds(request, fds, failure_fd, traces)
        for step, action in _STEPS:
            try:
                action(request)
            except _REFUSALS as error:
                raise _Failure(step, error) from error
        try:
            _exec(request, traces)
        except _REFUSALS as error:
            raise _Failure("exec", error) from error
    except _Failure as failure:
        os.write(failure_fd, failure.line.encode(errors="replace")[:_FAILURE_BYTES_MAX])
    finally:
        # Whatever happened: two processes must never run the keeper's loop.
        os._exit(_FAILED_CODE)


def _place_fds(request: Body, fds: Sequence[int], failure_fd: int, traces: Traces) -> int:
    """Put the descriptors where they belong; returns the new number of the one for failures.

    One whose number another will get is moved out of the way first, so that none is overwritten before it has been
    used. What the keeper has open stays behind, because it is closed on exec.
    """
    standard: list[str] = request.get("standard", [])
    above = FIRST_FD + len(fds) - len(standard)

    def out_of_the_way(fd: int) -> int:
        return fd if fd >= above else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above)

    failure_fd = out_of_the_way(failure_fd)
    try:
        sources = [out_of_the_way(fd) for fd in fds]
        wanted = {("stdin", "stdout", "stderr").index(name): fd for name, fd in zip(standard, sources, strict=False)}
        wanted.setdefault(0, out_of_the_way(traces.null_fd))
        wanted.update(enumerate(sources[len(standard) :], FIRST_FD))
        for number, fd in wanted.items():
            os.dup2(fd, number)
    except _REFUSALS as error:
        raise _Failure("fds", error) from error
    return failure_fd


def _set_session(request: Body) -> None:
    os.setsid()
    umask: int | None = request.get("umask")
    if umask is not None:
        os.umask(umask)


def _set_cgroup(request: Body) -> None:
    if path := request.get("cgroup"):
        descriptor = os.open(f"{path}/cgroup.procs", os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)


def _set_nice(request: Body) -> None:
    if nice := request.get("nice"):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def _set_affinity(request: Body) -> None:
    if affinity := request.get("affinity"):
        os.sched_setaffinity(0, affinity)


def _set_rlimits(request: Body) -> None:
    for name, soft in request.get("rlimits", {}).items():
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            raise ValueError(f"there is no limit called {name!r}")
        hard = resource.getrlimit(number)[1]
        is_above = hard != resource.RLIM_INFINITY and soft > hard
        resource.setrlimit(number, (soft, soft if is_above else hard))


def _set_user(request: Body) -> None:
    """Groups first: afterwards there is no right to change them."""
    user_name, group_name = request.get("user"), request.get("group")
    user = _find_user(user_name) if user_name else None
    uid = user.pw_uid if user else os.getuid()
    gid = _find_group(group_name) if group_name else user.pw_gid if user else os.getgid()
    if (uid, gid) == (os.getuid(), os.getgid()):
        return
    if user:
        os.initgroups(user.pw_name, gid)
    else:
        os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)


def _find_user(name: str) -> pwd.struct_passwd:
    if not name.isdecimal():
        return pwd.getpwnam(name)
    try:
        return pwd.getpwuid(int(name))
    except KeyError:
        # A number is enough in a container, which often has no line for it in its passwd file.
        return pwd.struct_passwd((name, "x", int(name), int(name), "", "/", "/bin/sh"))


def _find_group(name: str) -> int:
    return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid


def _set_directory(request: Body) -> None:
    if cwd := request.get("cwd"):
        os.chdir(cwd)


_STEPS: tuple[tuple[str, Callable[[Body], None]], ...] = (
    ("session", _set_session),
    ("cgroup", _set_cgroup),
    ("nice", _set_nice),
    ("affinity", _set_affinity),
    ("limits", _set_rlimits),
    ("user", _set_user),
    # After the user, so that a directory the service may not enter is noticed here.
    ("cwd", _set_directory),
)


def _exec(request: Body, traces: Traces) -> NoReturn:
    if "nofile" not in request.get("rlimits", {}):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (traces.soft_nofile, hard))
    env: dict[str, str] = request["env"]
    if request.get("listen_fds"):
        env["LISTEN_PID"] = str(os.getpid())
    for number in traces.signals:
        _set_handler(number, int(signal.SIG_DFL))
    _set_mask(signal.SIG_SETMASK, ())
    _exec_found(request["argv"], env)


def _exec_found(argv: list[str], env: dict[str, str]) -> NoReturn:
    """As ``os.execvpe``, which imports a module first: a millisecond in every child."""
    if "/" in argv[0]:
        os.execve(argv[0], argv, env)
    refused: OSError = FileNotFoundError(errno.ENOENT, "no such command", argv[0])
    for directory in env.get("PATH", os.defpath).split(":"):
        try:
            os.execve(f"{directory or '.'}/{argv[0]}", argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refused = error
    raise refused


# --- ends ------------------------------------------------------------------------------------------------------------


def reap() -> Iterator[tuple[int, Body]]:
    """Everything that has ended, with how. Signals for exits merge, so this looks until there is no more."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        is_killed = os.WIFSIGNALED(status)
        yield (
            pid,
            {
                "pid": pid,
                "code": None if is_killed else os.WEXITSTATUS(status),
                "os_signal": os.WTERMSIG(status) if is_killed else None,
                "core": os.WCOREDUMP(status),
                "rss_kb_max": usage.ru_maxrss,
                "cpu_ms": round((usage.ru_utime + usage.ru_stime) * 1000),
            },
        )


def direct_children() -> list[int]:
    """The pids of all children, also of those that came by the death of their parents."""
    try:
        with open("/proc/thread-self/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return list(_scan_for_children())


def _scan_for_children() -> Iterator[int]:
    """For kernels that keep no list of children."""
    parent = str(os.getpid()).encode()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdecimal() and _stat_fields(int(name))[1:2] == [parent]:
                yield int(name)


def signal_group(pid: int, os_signal: int) -> None:
    """Signal the session a child leads; the child alone if it has not come to lead one yet."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(pid, os_signal)
        except ProcessLookupError:
            os.kill(pid, os_signal)


def kill_everything(wake_fd: int, timeout_s: float) -> bool:
    """Kill and reap until there is no child, however deep: who loses its parent comes here.

    Returns False if something could not be killed in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        for pid in direct_children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for _ in reap():
            pass
        # Not the list of children decides, which may be incomplete while they die, but the kernel's own word.
        if not has_children():
            return True
        if time.monotonic() > deadline:
            return False
        select.select([wake_fd], [], [], 0.02)
        drain(wake_fd)


def remove_groups(roots: Iterable[str]) -> None:
    """Remove these control groups and those in them; one that is not empty stays."""
    for root in roots:
        for path in [*_groups_in(root), root]:
            with contextlib.suppress(OSError):
                os.rmdir(path)


def _groups_in(root: str) -> list[str]:
    try:
        return [f"{root}/{name}" for name in os.listdir(root) if os.path.isdir(f"{root}/{name}")]
    except OSError:
        return []


def has_children() -> bool:
    """Whether there is any child, living or not reaped."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def drain(fd: int) -> None:
    """Empty a non-blocking pipe."""
    with contextlib.suppress(BlockingIOError):
        while len(os.read(fd, 4096)) == 4096:
            pass
