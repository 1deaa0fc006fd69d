"""One process of a service: what it was started with, what it said of itself, how it ended.

Knows no other generation and decides nothing; ends processes when it is told to.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from aeterna.config.spec import ServiceSpec
from aeterna.kernel.clock import sleep
from aeterna.supervisor.core.restart import Death
from aeterna.supervisor.host import limits
from aeterna.supervisor.host.keeping import Child, Exit
from aeterna.supervisor.host.limits import AppliedLimits
from aeterna.supervisor.host.log_pipe import LogPipe
from aeterna.supervisor.host.notify import Notice, NotifySocket, Watchdog
from aeterna.supervisor.host.process_tree import ProcessTree

LEFTOVERS_S = 0.05
GROUP_TRIES = 20


class InstanceRecord(Struct, kw_only=True):
    """What a successor of the daemon needs to know about a process it did not start."""

    generation: int
    token: str
    colour: int
    spec: ServiceSpec
    started_us: int
    is_ready: bool
    is_retired: bool
    accepts: bool
    role: str
    group_path: str
    speakers: int


class Instance:
    """A process of one generation; before its start and after its end, too.

    ``colour``: which of each listener's sockets it accepts from. ``is_retired``: it is leaving, and nothing that
    happens to it matters to the service any more.
    """

    def __init__(self, generation: int, spec: ServiceSpec, token: str, colour: int) -> None:
        self.generation = generation
        self.spec = spec
        self.token = token
        self.colour = colour
        self.child: Child | None = None
        self.exit: Exit | None = None
        self.missed_exit: Exit | None = None
        """How it ended while no daemon looked."""
        self.main_pid = 0
        """The process that it has named as the one that matters, if it is another one."""
        self.spawn_problem = ""
        self.notify: NotifySocket | None = None
        self.pipes: list[LogPipe] = []
        self.started_us = 0
        self.spawned = asyncio.Event()
        self.gone = asyncio.Event()
        self.ready = asyncio.Event()
        self.ready_by = ""
        self.role = "active"
        self.speakers = 0
        """How many of its processes speak SRP."""
        self.accepts = True
        """Whether it takes connections from its colour, or will as soon as it can."""
        self.is_retired = False
        self.is_over_memory = False
        self.blame = ""
        """Why it was killed, if it was."""
        self.status_text = ""
        self.on_notice: Callable[[Notice], None] | None = None
        self.last_ping_us = 0
        self.watchdog_us = 0
        self.has_watchdog = asyncio.Event()
        self._set_watchdog(spec.watchdog_ms * 1000)
        self.extend_until_us = 0
        self.memory_bytes = 0
        self.limits = AppliedLimits()

    @property
    def pid(self) -> int:
        """0 if it was never started."""
        return self.child.pid if self.child else (self.exit.pid if self.exit else 0)

    @property
    def is_alive(self) -> bool:
        return self.child is not None and not self.gone.is_set()

    @property
    def may_live(self) -> bool:
        """Whether it lives, or its start is under way."""
        return self.is_alive or not self.spawned.is_set()

    @property
    def tree(self) -> ProcessTree:
        """All its processes. The keeper is the daemon's parent, too."""
        started = self.child.start_time_ticks if self.child is not None else 0
        return ProcessTree(self.token, self.pid, started, os.getppid())

    # --- notices -----------------------------------------------------------------------------------------------------

    def listen_to(self, notify: NotifySocket, receive: Callable[[], None]) -> None:
        """Take over the socket on which the process says how it is."""
        self.notify = notify
        asyncio.get_running_loop().add_reader(notify.fileno(), receive)

    def take(self, notice: Notice, now_us: int) -> None:
        """Keep what a notice says about this process."""
        if (status := notice.status) is not None:
            self.status_text = status
        if notice.watchdog is Watchdog.ALIVE:
            self.last_ping_us = now_us
        if (interval_us := notice.watchdog_us) is not None:
            self.last_ping_us = now_us
            self._set_watchdog(interval_us)
        if (more_us := notice.extend_timeout_us) is not None:
            self.extend_until_us = now_us + more_us
        if notice.main_pid is not None and notice.main_pid != self.pid and self.includes(notice.main_pid):
            self.main_pid = notice.main_pid
        if notice.is_ready:
            self.became_ready("notify")

    def _set_watchdog(self, interval_us: int) -> None:
        self.watchdog_us = interval_us
        if interval_us:
            self.has_watchdog.set()
        else:
            self.has_watchdog.clear()

    def became_ready(self, by: str) -> None:
        """It can serve; the first that says so is kept."""
        if not self.ready.is_set():
            self.ready_by = by
            self.ready.set()

    # --- the end -----------------------------------------------------------------------------------------------------

    def signal(self, os_signal: int) -> bool:
        """Send an OS signal to the process itself; False if there is none."""
        return self.child is not None and self.child.send_signal(os_signal)

    def kill(self) -> None:
        """Kill it and everything that descends from it, wherever that went."""
        self.signal(signal.SIGKILL)
        self.kill_leftovers()

    def kill_leftovers(self) -> None:
        """Kill what descends from it, whether it lives itself or not."""
        if self.limits.group is not None:
            self.limits.group.kill()
        self.tree.kill(signal.SIGKILL)

    def replace_child(self, child: Child) -> None:
        """Another of its processes is the one that matters now."""
        if self.child is not None:
            self.child.close()
        self.child, self.main_pid = child, 0

    async def clear_up(self) -> None:
        """After its end: kill what it left behind, and remove its control group."""
        await sleep(LEFTOVERS_S)
        self.kill_leftovers()
        for _ in range(GROUP_TRIES):
            # What was killed is in the group until it is reaped.
            if self.limits.group is None or self.limits.group.remove():
                return
            await sleep(LEFTOVERS_S)

    def includes(self, pid: int) -> bool:
        """Whether the process belongs to this instance."""
        return self.tree.contains(pid)

    def members(self) -> list[int]:
        """The pids of all its processes."""
        return self.tree.members()

    async def end(self, grace_ms: int) -> None:
        """Ask it to stop, wait, and kill what is left when the time is over. Returns when the process is gone."""
        if not self.is_alive:
            return
        self.signal(self.spec.stop_signal)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_ms / 1000):
                await self.gone.wait()
        self.kill()
        await self.gone.wait()

    def ended(self, found: Exit | None) -> None:
        """It is gone; ``found`` is None if it never ran."""
        for pipe in self.pipes:
            pipe.drain()
        if self.limits.group is not None and self.limits.group.oom_kills():
            self.is_over_memory = True
        self.exit = found
        self.gone.set()
        self.spawned.set()
        if self.child is not None:
            self.child.close()

    def close(self, *, unlink: bool = True) -> None:
        """Let go of everything that is held for it here; ``unlink``: for good."""
        for pipe in self.pipes if not unlink else ():
            pipe.stop()
        if self.notify is not None:
            asyncio.get_running_loop().remove_reader(self.notify.fileno())
            self.notify.close(unlink=unlink)
            self.notify = None
        if self.child is not None:
            self.child.close()

    # --- for people and successors -----------------------------------------------------------------------------------

    def how_it_ended(self) -> str:
        """In words."""
        found = self.exit
        if found is None:
            return self.spawn_problem or "it never ran"
        if self.is_over_memory:
            return f"out of memory: it used more than its limit of {self.spec.limits.memory_bytes} bytes"
        if found.os_signal is not None:
            name = signal_name(found.os_signal)
            if self.blame and found.os_signal == signal.SIGKILL:
                return f"{self.blame}; killed"
            return f"killed by {name}{' (core dumped)' if found.core else ''}"
        return f"exit code {found.code}"

    def death(self, now_us: int) -> Death:
        """As the restart policy judges it; a process that never came to be counts as one that was not found."""
        found = self.exit
        return Death(
            code=found.code if found else 127,
            os_signal=found.os_signal if found else None,
            lifetime_ms=(now_us - self.started_us) // 1000 if self.started_us else 0,
            was_ready=self.ready.is_set(),
            how=self.how_it_ended(),
        )

    def record(self) -> InstanceRecord:
        return InstanceRecord(
            generation=self.generation,
            token=self.token,
            colour=self.colour,
            spec=self.spec,
            started_us=self.started_us,
            is_ready=self.ready.is_set(),
            is_retired=self.is_retired,
            accepts=self.accepts,
            role=self.role,
            group_path=self.limits.cgroup_path,
            speakers=self.speakers,
        )

    @classmethod
    def recover(cls, record: InstanceRecord) -> Instance:
        """The instance a predecessor of the daemon wrote down."""
        instance = cls(record.generation, record.spec, record.token, record.colour)
        instance.started_us = record.started_us
        instance.is_retired = record.is_retired
        instance.accepts, instance.role = record.accepts, record.role
        instance.speakers = record.speakers
        instance.limits = limits.recover(record.spec.limits, record.group_path)
        instance.spawned.set()
        if record.is_ready:
            instance.became_ready("record")
        return instance


def signal_name(number: int) -> str:
    """``SIGSEGV``; real-time signals have numbers only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
