"""Workloads about processes: how fast a killed one is replaced, how fast a service starts, what stopping leaves."""

from __future__ import annotations

import os
import random
import select
import signal
import statistics
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from bench.supervisor.peers.peer import Peer, Program
from bench.supervisor.question import wait_serving
from bench.supervisor.settings import Settings
from bench.supervisor.site import Site, SystemFailed, kill, resident_mb
from bench.supervisor.summary import percentile

LIFE_S = (1.2, 2.2)
"""A child lives so long before it is killed: over a second, which supervisord and pm2 take for a good start, and at
random, so that a supervisor that looks once a second is met at every moment of its second."""
WORD_LIMIT_S = 30.0
LEFT_AFTER_S = 1.0
SPAWN_LIMIT_S = 30.0


def restart(peer: Peer, site: Site, settings: Settings) -> dict[str, Any]:
    """SIGKILL a child again and again: the time until its successor, a shell, says its first word."""
    draw = random.Random(7)
    word = FirstWord(site)
    peer.start_programs([word.program])
    times_ms = []
    pid, _ = word.wait()
    for _ in range(settings.kills):
        sleep(draw.uniform(*LIFE_S))
        killed_s = monotonic()
        kill(pid, signal.SIGKILL)
        pid, said_s = word.wait()
        times_ms.append((said_s - killed_s) * 1000)
    word.close()
    ordered = sorted(times_ms)
    return {
        "restart_p50_ms": percentile(ordered, 50),
        "restart_p95_ms": percentile(ordered, 95),
        "restart_max_ms": ordered[-1],
        "restart_ms": times_ms,
    }


class FirstWord:
    """A program whose first act is to write its pid into a FIFO; dash needs about a millisecond to get there."""

    def __init__(self, site: Site) -> None:
        path = site.folder / "first-word"
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        script = site.write("first-word.sh", f"echo $$ > {path}\nexec sleep 100000\n")
        self.program = Program("child", ("/bin/sh", str(script)))
        self._site = site

    def wait(self) -> tuple[int, float]:
        """The pid, and when its word arrived; raises `SystemFailed` if none comes."""
        ready, _, _ = select.select([self._descriptor], [], [], WORD_LIMIT_S)
        said_s = monotonic()
        if not ready:
            raise SystemFailed(f"no child was started for {WORD_LIMIT_S:.0f} s\n{self._site.last_words()}")
        return int(os.read(self._descriptor, 4096).split()[-1]), said_s

    def close(self) -> None:
        """No more words are expected."""
        os.close(self._descriptor)


def start_up(peer_type: type[Peer], settings: Settings) -> dict[str, Any]:
    """From starting the system, by the command its users type, to the first 200; each time on a fresh site."""
    times_ms, own_mb = [], []
    for _ in range(settings.starts):
        with Site() as site:
            peer = peer_type(site)
            started_s = monotonic()
            peer.start_web()
            reply = wait_serving(site)
            times_ms.append((monotonic() - started_s) * 1000)
            if peer.supervises:
                own_mb.append(sum(resident_mb(pid) for pid in site.processes() if pid != reply.pid))
    found = {"start_p50_ms": statistics.median(times_ms), "start_max_ms": max(times_ms)}
    return found | ({"own_memory_mb": statistics.median(own_mb)} if own_mb else {})


def leftovers(peer: Peer, site: Site, settings: Settings) -> dict[str, Any]:
    """Start plain, forking and daemonising programs, stop the system, and count who is still alive."""
    programs, expected = _families(site, settings)
    peer.start_programs(programs)
    deadline_s = monotonic() + SPAWN_LIMIT_S
    while (running := len(_sleepers(site))) < expected:
        if monotonic() > deadline_s:
            raise SystemFailed(
                f"{running} of {expected} processes run after {SPAWN_LIMIT_S:.0f} s\n{site.last_words()}"
            )
        sleep(0.05)
    sleep(LIFE_S[0])
    stopped_s = monotonic()
    peer.stop()
    stop_s = monotonic() - stopped_s
    sleep(LEFT_AFTER_S)
    return {"left": len(_sleepers(site)), "started": expected, "stop_s": stop_s}


def _families(site: Site, settings: Settings) -> tuple[list[Program], int]:
    """The programs, and how many processes they come to.

    A forking one has a child in its session; a daemonising one has a child in a session of its own, with no parent.
    """
    forking = site.write("forking.sh", "sleep 100000 &\nsleep 100000 &\nwait\n")
    daemonising = site.write("daemonising.sh", "(setsid sleep 100000 &)\nexec sleep 100000\n")
    programs = [Program(f"plain{number}", ("/bin/sleep", "100000")) for number in range(settings.plain)]
    programs += [Program(f"forking{number}", ("/bin/sh", str(forking))) for number in range(settings.forking)]
    programs += [Program(f"daemon{number}", ("/bin/sh", str(daemonising))) for number in range(settings.daemonising)]
    return programs, settings.plain + 2 * settings.forking + 2 * settings.daemonising


def _sleepers(site: Site) -> list[int]:
    return [pid for pid in site.processes() if _name(pid) == "sleep"]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
