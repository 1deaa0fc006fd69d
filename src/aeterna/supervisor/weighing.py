"""The memory of one process and all it started, from its start to its end, whatever it is to the service.

Where the kernel bounds it, it is only shown; where not, more than its limit ends the process. Decides nothing else: the
end is an event like any other.
"""

from __future__ import annotations

from aeterna.kernel.clock import sleep
from aeterna.supervisor.host.limits import MemoryWatch
from aeterna.supervisor.instances import Instance

PERIOD_S = 0.1
IDLE_PERIOD_S = 10.0
"""Without a limit memory is only shown."""


async def weigh(instance: Instance) -> None:
    """Look at its memory until it is gone."""
    bound = instance.limits.watch
    weight = bound or MemoryWatch(0)
    while instance.is_alive:
        # What it has before it is ready says little, and is of interest only where there is a limit.
        if bound is not None or instance.ready.is_set():
            pids = instance.members()
            instance.memory_bytes = weight.sample(pids)
            if bound is not None and bound.is_over(pids):
                instance.is_over_memory = True
                instance.kill()
                return
        await sleep(IDLE_PERIOD_S if bound is None and instance.ready.is_set() else PERIOD_S)
