"""Does to a cluster what happens to clusters, at random moments, and notes when nothing could be expected of it.

One disturbance follows the other; a frozen worker, or one whose cable is pulled, stays so while others happen. There is
always a server and a worker left that could go on, except while the database is down."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

from aeterna.kernel.clock import sleep
from tests.cluster.observed import Interval
from tests.cluster.processes import now_us
from tests.cluster.world import LEASE_S, Cluster

POLL_S = 0.1


class Nemesis:
    """``done``: how often each disturbance happened."""

    def __init__(self, cluster: Cluster, rng: Random, kinds: tuple[str, ...]) -> None:
        self.cluster = cluster
        self.done: Counter[str] = Counter()
        self._rng = rng
        self._kinds = kinds
        self._gone: set[int] = set()
        """The workers that are frozen, cut off or only starting."""
        self._acts: dict[str, Callable[[asyncio.TaskGroup], Awaitable[None]]] = {
            "kill_worker": self._kill_worker,
            "kill_server": self._kill_server,
            "freeze_worker": self._freeze_worker,
            "crash_postgres": self._crash_postgres,
            "worker_leaves": self._replace_worker,
            "cut_worker": self._cut_worker,
            "cut_server": self._cut_server,
        }

    async def rage(self, duration_s: float) -> None:
        """Each kind once in random order, then at random until the time is over; ends with everything mended."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + duration_s
        order = self._rng.sample(self._kinds, len(self._kinds))
        async with asyncio.TaskGroup() as group:
            while order or loop.time() < end_s:
                kind = order.pop() if order else self._rng.choice(self._kinds)
                while self._present() is None:
                    await sleep(POLL_S)
                await self._acts[kind](group)
                self.done[kind] += 1
                await asyncio.sleep(self._rng.choice((0.1, 0.5, 1.5)))

    def _present(self) -> int | None:
        """A worker that can be spared: not the last one that works."""
        numbers = [number for number in range(len(self.cluster.workers)) if number not in self._gone]
        return self._rng.choice(numbers) if len(numbers) > 1 else None

    async def _kill_worker(self, group: asyncio.TaskGroup) -> None:
        number = self._present()
        if number is not None:
            self._gone.add(number)
            self.cluster.workers[number].kill()
            await asyncio.sleep(self._rng.choice((0.0, 0.3)))
            group.create_task(self._start_worker(number))

    async def _replace_worker(self, group: asyncio.TaskGroup) -> None:
        number = self._present()
        if number is not None:
            worker = self.cluster.workers[number]
            self._gone.add(number)
            code = await asyncio.to_thread(worker.end)
            # One that was only just started does not listen to the signal yet.
            assert code in (0, -signal.SIGTERM), f"a worker ended by {code}:\n{worker.words()}"
            group.create_task(self._start_worker(number))

    async def _start_worker(self, number: int) -> None:
        """One that has no session yet cannot be counted on."""
        worker = self.cluster.workers[number] = self.cluster.start_worker(number)
        while not await self.cluster.is_connected(worker):
            await sleep(POLL_S)
        self._gone.discard(number)

    async def _kill_server(self, group: asyncio.TaskGroup) -> None:
        number = self._rng.randrange(len(self.cluster.servers))
        self.cluster.servers[number].kill()
        await asyncio.sleep(self._rng.choice((0.0, 1.0)))
        self.cluster.servers[number] = await self.cluster.start_server(number)

    async def _freeze_worker(self, group: asyncio.TaskGroup) -> None:
        number = self._present()
        if number is not None:
            self._gone.add(number)
            self.cluster.freeze_worker(number)
            group.create_task(self._later(number, lambda: self.cluster.thaw_worker(number)))

    async def _cut_worker(self, group: asyncio.TaskGroup) -> None:
        number = self._present()
        if number is not None:
            self._gone.add(number)
            host = self.cluster.shape.workers[number]
            host.cut()
            group.create_task(self._later(number, host.mend))

    async def _later(self, number: int, undo: Callable[[], None]) -> None:
        """Past its lease, so that others have its runs by then."""
        await asyncio.sleep(LEASE_S * self._rng.choice((0.5, 1.2, 1.5, 2.5)))
        undo()
        self._gone.discard(number)

    async def _cut_server(self, group: asyncio.TaskGroup) -> None:
        host = self._rng.choice(self.cluster.shape.servers)
        host.cut()
        await asyncio.sleep(LEASE_S * self._rng.choice((0.5, 1.5)))
        host.mend()

    async def _crash_postgres(self, group: asyncio.TaskGroup) -> None:
        from_us = now_us()
        await asyncio.to_thread(self.cluster.postgres.crash_and_restart)
        self.cluster.outages.append(Interval(from_us, now_us()))
