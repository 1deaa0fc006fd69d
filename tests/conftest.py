"""What every test gets: ``async def`` tests run on a fresh event loop, and hypothesis knows where it runs.

No plugin does this, so that nothing stands between a test and the loop: one `asyncio.Runner` per test, its leftovers
cancelled and its generators closed before the next one.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Iterator

import hypothesis
import pytest
import uvloop

# gRPC's handlers around fork crash children of a process whose calls are under way; ours only ever exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function to its end; mark a test ``uvloop`` to run it on that loop."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    loop_factory = uvloop.new_event_loop if pyfuncitem.get_closest_marker("uvloop") else None
    with asyncio.Runner(debug=False, loop_factory=loop_factory) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(autouse=True)
def _talkative_logs() -> Iterator[None]:
    """A test that silences the logs silences them for itself only."""
    logger = logging.getLogger("aeterna")
    level = logger.level
    yield
    logger.setLevel(level)
