"""A program whose file size limit is hit while runs are in flight, and lifted again. Prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from pathlib import Path

from aeterna import App, Context, StoreError

HEADROOM_BYTES = 256 * 1024
RUNS = 20

store = Path(sys.argv[1])
app = App("full", store=f"sqlite:///{store}")
executions: list[int] = []
gate = asyncio.Event()


@app.step
async def grow(n: int) -> str:
    executions.append(n)
    await gate.wait()
    return "x" * 100_000


@app.workflow
async def flow(ctx: Context, n: int) -> int:
    return len(await grow(n))


async def main() -> dict[str, object]:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with app:
        handles = [await flow.options(workflow_id=f"r{n}").start(n) for n in range(RUNS)]
        size = max(path.stat().st_size for path in store.parent.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + HEADROOM_BYTES, resource.RLIM_INFINITY))
        waiting = asyncio.gather(*[handle.result() for handle in handles], return_exceptions=True)
        gate.set()
        during = [error for error in await waiting if isinstance(error, StoreError)]
        try:
            await flow.options(workflow_id="late").start(99)
            refused = ""
        except StoreError as error:
            refused = f"{type(error).__name__}: {error}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await (await app.engine()).journal.barrier()
        after = [await handle.result(timeout=20) for handle in handles]
    return {
        "during": sorted({type(error).__name__ for error in during}),
        "refused": refused,
        "after": after,
        "executions": sorted(executions),
    }


print(json.dumps(asyncio.run(main())))
