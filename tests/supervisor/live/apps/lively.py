"""A small service on the inherited listener that starts in milliseconds and does what its requests ask for.

``GET /VERB/ARGUMENT``: see `VERBS`. Without a verb it answers its pid and generation. Standard library only.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HELD: list[object] = []
STARTED_WITH = [fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}")]
"""The descriptors that were there before we opened any."""


def notify(text: str, *fds: int) -> None:
    """One message of sd_notify(3)."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(os.environ["NOTIFY_SOCKET"])
        sock.sendmsg([text.encode()], rights)


def leave_note(pid: int) -> None:
    """Write down the pid of a process that may be found by nothing else."""
    with open(f"{HERE}/pids", "a") as file:
        file.write(f"{pid}\n")


def child(_: str) -> str:
    """A plain child."""
    process = subprocess.Popen(["sleep", "1000"])
    HELD.append(process)
    leave_note(process.pid)
    return str(process.pid)


def daemonise(_: str) -> str:
    """A child that forks twice, leads a session of its own, and has no environment and none of our files."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            os.chdir("/")
            os.execve("/bin/sh", ["sh", "-c", "exec 0<&- 1>&- 2>&-; exec sleep 1000"], {})
        os._exit(0)
    os.close(writer)
    os.wait()
    pid = int(os.read(reader, 20))
    os.close(reader)
    leave_note(pid)
    return str(pid)


def nest(_: str) -> str:
    """A child with a child of its own in another process group."""
    code = "import os,sys,time\npid=os.fork()\nif pid==0:\n os.setpgid(0,0)\n time.sleep(1000)\nprint(pid,flush=True)\ntime.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-ISc", code], stdout=subprocess.PIPE, text=True)
    HELD.append(process)
    assert process.stdout is not None
    inner = int(process.stdout.readline())
    leave_note(process.pid)
    leave_note(inner)
    return f"{process.pid} {inner}"


def orphan(count: str) -> str:
    """So many processes that lose their parent, and then end."""
    for _ in range(int(count)):
        if os.fork() == 0:
            os.fork()
            os._exit(0)
        os.wait()
    return count


def about(_: str) -> str:
    """How it was started."""
    return json.dumps(
        {
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "affinity": sorted(os.sched_getaffinity(0)),
            "nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "fds": sorted(STARTED_WITH),
            "env": dict(os.environ),
            "session": os.getsid(0),
            "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        }
    )


def allocate(size: str) -> str:
    """Use memory, for good."""
    HELD.append(bytearray(os.urandom(1) * int(size)))
    return size


def flood(lines: str) -> str:
    """Write so many lines; the answer is how long that took, in seconds."""
    began = time.monotonic()
    for number in range(int(lines)):
        sys.stdout.write(f"line {number} {'x' * 100}\n")
    sys.stdout.flush()
    return str(time.monotonic() - began)


def say(text: str) -> str:
    print(text, flush=True)
    return text


def tell(text: str) -> str:
    """Notify; lines are separated by commas."""
    notify(text.replace(",", "\n"))
    return text


def store(name: str) -> str:
    """Deposit a memfd, or with a name that begins with ``sock`` a socket."""
    if name.startswith("sock"):
        ours, theirs = socket.socketpair()
        ours.sendall(name.encode())
        HELD.append(ours)
        notify(f"FDSTORE=1\nFDNAME={name}", theirs.fileno())
    else:
        fd = os.memfd_create(name)
        os.write(fd, f"{name} of {os.getpid()}".encode())
        notify(f"FDSTORE=1\nFDNAME={name}", fd)
        os.close(fd)
    return name


def stored(_: str) -> str:
    """What was inherited beside the listeners: name and content."""
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for fd, name in enumerate(names, 3):
        link = os.readlink(f"/proc/self/fd/{fd}")
        if link.startswith("/memfd:"):
            found.append([name, os.pread(fd, 100, 0).decode()])
        else:
            found.append([name, link.partition(":")[0]])
    return json.dumps(found)


def end(code: str) -> str:
    """Exit with this code, or by this OS signal if it is negative, after the answer."""
    threading.Timer(0.02, leave, [int(code)]).start()
    return code


def leave(code: int) -> None:
    print("these are the last words", file=sys.stderr, flush=True)
    if code < 0:
        os.kill(os.getpid(), -code)
        threading.Event().wait()
    os._exit(code)


VERBS = {
    "child": child,
    "daemonise": daemonise,
    "nest": nest,
    "orphan": orphan,
    "about": about,
    "allocate": allocate,
    "flood": flood,
    "say": say,
    "tell": tell,
    "store": store,
    "stored": stored,
    "end": end,
}


def answer(sock: socket.socket) -> None:
    """Requests of one connection, one after the other."""
    with sock, contextlib.suppress(ConnectionError):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                fresh = sock.recv(65536)
                if not fresh:
                    return
                data += fresh
            head, _, data = data.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            _, _, rest = path.partition("/")
            verb, _, argument = rest.partition("/")
            does = VERBS.get(verb)
            body = (does(argument) if does else f"{os.getpid()} {os.environ['AETERNA_GENERATION']}").encode()
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def main() -> None:
    settings = dict(word.partition("=")[::2] for word in sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(int(settings.get("on_term", 0))))
    time.sleep(float(settings.get("slow", 0)))
    if settings.get("crash"):
        leave(int(settings["crash"]))
    if settings.get("feed"):
        threading.Thread(target=feed, args=[float(settings["feed"])], daemon=True).start()
    if "forks" in settings:
        pid = os.fork()
        if pid:
            notify(f"MAINPID={pid}\nSTATUS=I was {os.getpid()}")
            os._exit(0)
        while os.getppid() == int(os.environ["LISTEN_PID"]):
            time.sleep(0.01)
    listener = socket.socket(fileno=3)
    listener.setblocking(True)
    if "silent" not in settings:
        notify("READY=1")
    while True:
        sock, _ = listener.accept()
        sock.setblocking(True)
        threading.Thread(target=answer, args=[sock], daemon=True).start()


def feed(seconds: float) -> None:
    """Feed the watchdog for so long, and then no more."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        notify("WATCHDOG=1")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
