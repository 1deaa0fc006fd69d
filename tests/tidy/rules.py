"""The numbers and names the tidy test holds, and the exceptions to them, each with its reason.

An exception is a path with how many times it may happen there and why. Fewer is better: lower the number when it falls.
"""

from __future__ import annotations

from dataclasses import dataclass

FUNCTION_AIM = 25
FUNCTION_HARD = 70
FILE_AIM = 300
FILE_HARD = 600
CLASS_HARD = 300
PARAMETERS_HARD = 7
DEPTH_HARD = 4

DRAWERS = frozenset({"util", "utils", "common", "helper", "helpers", "misc"})
"""Names under which anything fits, so that everything ends up there."""

SLEEPS = frozenset({"time.sleep", "asyncio.sleep"})
SKIPS = frozenset(
    {"pytest.mark.skip", "pytest.mark.skipif", "pytest.skip", "pytest.importorskip"}
    | {"unittest.skip", "unittest.skipIf"},
)
MOCKS = frozenset({"unittest.mock", "mock", "pytest_mock"})

CORE_MAY_IMPORT = frozenset({"msgspec"})
"""What is not the standard library and yet pure enough for the core: its records are msgspec structs."""

CORE_MUST_NOT_IMPORT = frozenset(
    {"asyncio", "time", "random", "secrets", "os", "io", "pathlib", "socket", "selectors", "select", "logging"}
    | {"subprocess", "threading", "multiprocessing", "concurrent", "signal", "sqlite3", "tempfile", "shutil"}
    | {"urllib", "http", "ssl"},
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """``count`` times in this file, because of ``reason``."""

    count: int
    reason: str


BROAD_EXCEPT: dict[str, Allowed] = {
    "src/aeterna/cli/loading.py": Allowed(1, "importing a user's module may raise anything"),
    "src/aeterna/durable/engine/failures.py": Allowed(
        4, "constructor, __eq__ and __str__ of a user's exception may raise anything; the error itself must survive"
    ),
    "src/aeterna/durable/engine/steps.py": Allowed(
        1, "the boundary to user code: whatever a step raises is its result"
    ),
    "src/aeterna/durable/engine/queries.py": Allowed(
        1, "a user's query handler may raise anything; it is told by name"
    ),
    "src/aeterna/durable/engine/run_loop.py": Allowed(
        1, "a callback of the workflow's; asyncio's own loop reports and goes on too"
    ),
    "src/aeterna/durable/engine/runner.py": Allowed(
        2, "workflow code that fails outside its own task makes its run stuck, with the reason"
    ),
    "src/aeterna/handover/parts.py": Allowed(
        1, "a user's load hook may raise anything; the handover fails with its words"
    ),
    "src/aeterna/handover/run_asgi.py": Allowed(1, "importing a user's application may raise anything"),
    "src/aeterna/handover/relayed.py": Allowed(2, "a user's hooks may raise anything; the handover goes on or says so"),
    "src/aeterna/supervisor/keeper/keeper.py": Allowed(
        1, "all processes hang on this supervised loop: it complains, replaces the daemon and goes on"
    ),
    "src/aeterna/supervisor/performing.py": Allowed(
        1, "a mistake of ours must end in a verdict, not in a service that waits for ever"
    ),
    "src/aeterna/durable/engine/coordinator/committer.py": Allowed(
        2, "what one client sends must not end the service of the others; the culprit alone hears of it"
    ),
    "src/aeterna/durable/engine/coordinator/coordinator.py": Allowed(
        1, "the supervised loop of a namespace's services: logged and started again"
    ),
    "src/aeterna/server/rpc/talk.py": Allowed(
        1, "what one item of a client does must not end the stream of the others: it is logged and answered as a bug"
    ),
    "src/aeterna/server/rpc/session.py": Allowed(
        1, "what one worker asks must not end its stream: it is logged and answered as a bug"
    ),
    "src/aeterna/durable/engine/journal.py": Allowed(
        1, "nothing was written; the supervised task tries again, and fails there if it must"
    ),
}
"""``except Exception`` and wider, unless it ends by raising again: user code's edge and supervised loops only."""

SLEEPS_IN_TESTS: dict[str, Allowed] = {
    "tests/processes/test_with_a_server.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/server/test_http.py": Allowed(1, "looks again whether a run has come so far"),
    "tests/crash/poisoned_lives.py": Allowed(1, "looks again whether a run has come so far"),
    "tests/wire/cluster_app.py": Allowed(1, "the time that a step of a worker under test takes"),
    "tests/stores/pgbouncer.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/stores/postgres_server.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/stores/test_postgres_faults.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/stores/test_postgres_restart.py": Allowed(2, "work goes on while the database is stopped"),
    "tests/cluster/client.py": Allowed(3, "runs start and signals are sent at times that a seed chose"),
    "tests/cluster/nemesis.py": Allowed(5, "how long something is down is the disturbance itself"),
    "tests/cluster/processes.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/cluster/program.py": Allowed(1, "a step that takes some time"),
    "tests/processes/test_over_postgres.py": Allowed(3, "other processes offer no event, and a lease takes its time"),
    "tests/handover/srp_supervisor.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/supervisor/live/apps/faulty.py": Allowed(2, "an application that is slow on purpose"),
    "tests/supervisor/live/test_fault_matrix.py": Allowed(1, "how long a process is frozen is the fault itself"),
    "tests/supervisor/live/under_load.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/supervisor/live/apps/fragile.py": Allowed(2, "an application that is slow on purpose"),
    "tests/supervisor/live/apps/lively.py": Allowed(3, "an application that is slow on purpose"),
    "tests/supervisor/live/backend.py": Allowed(1, "looks again whether another process has come so far"),
    "tests/concurrency/test_workflow_code.py": Allowed(2, "workflow code that must not sleep, and is refused"),
    "tests/trouble/test_user_code.py": Allowed(1, "workflow code that spins, and is caught"),
}
"""For workflow code that sleeps on purpose and for step durations, never for waiting until something happens."""

MOCKS_IN_TESTS: dict[str, Allowed] = {
    "tests/trouble/test_user_code.py": Allowed(1, "a limit is lowered, so that reaching it takes no seconds"),
}
"""Mocks, and ``monkeypatch.setattr``: hand in a real part instead."""

SKIPS_IN_TESTS: dict[str, Allowed] = {}
"""A test that does not run proves nothing."""

NEVER_IMPORTED: dict[str, str] = {
    "aeterna": "the package itself: users import it",
    "aeterna.__main__": "`python -m aeterna`",
    "aeterna.config.__main__": "`python -m aeterna.config`, the reader that the daemon runs",
    "aeterna.config.inputs": "what a plan depends on; for whoever caches plans",
    "aeterna.handover": "applications import it",
    "aeterna.handover.wsgi": "applications import it",
    "aeterna.supervisor.daemon": "`python -m aeterna.supervisor.daemon`, run by the keeper",
    "aeterna.supervisor.keeper.main": "run by its path",
    "aeterna.testing.crash": "users' tests and ours import it",
    "aeterna.testing.pytest_plugin": "pytest loads it by its name",
    "aeterna.cli.main": "entry point of the commands `aeterna` and `aether`",
}
"""Modules that nothing in the package imports, and who does."""
