"""DBOS as its documentation has it: asynchronous workflows and steps in one process, over the database it is given."""

from __future__ import annotations

import asyncio

from dbos import DBOS, DBOSConfig

from bench import jobs
from bench.server.lanes import measure, order, say

noop = DBOS.step()(jobs.noop)


@DBOS.workflow()
async def steps(count: int) -> int:
    for index in range(count):
        await noop(index)
    return count


async def main() -> None:
    given = order()
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": given["database"],
        "log_level": "ERROR",
        "application_version": "1",
        "executor_id": "local",
    }
    DBOS(config=config)
    DBOS.launch()
    try:

        async def run() -> object:
            handle = await DBOS.start_workflow_async(steps, given["steps"])
            return await handle.get_result()

        say(await measure(run, given))
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main())
