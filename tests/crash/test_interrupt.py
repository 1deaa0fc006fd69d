"""Ctrl-C in a plain script."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from aeterna.durable.core.states import State
from tests.crash.checker import check_executions, check_finished
from tests.crash.execution_log import END, MARK, START, ExecutionLog
from tests.crash.job import Job
from tests.crash.processes import watched

SCRIPT = [sys.executable, "-m", "tests.crash.script"]
INTERRUPTED = (-signal.SIGINT, 128 + signal.SIGINT)
"""How a process ends that leaves KeyboardInterrupt to Python."""


@pytest.mark.parametrize(
    ("kind", "step_s", "nap_s"), [(START, 1000.0, 0.0), (END, 0.0, 0.7)], ids=["in a step", "in a durable sleep"]
)
def test_an_interrupted_script_goes_on_where_it_was_when_it_is_started_again(tmp_path, kind, step_s, nap_s):
    """SIGINT in the middle of ``app.run``: ``finally`` blocks of workflow code run, the store is closed and its lock
    given back, the process ends as an interrupted one. The next start of the same script finishes the run, and a
    finished step does not run again."""
    job = Job(str(tmp_path), "", step_s=step_s, nap_s=nap_s)
    log = ExecutionLog(job.log)
    with watched(job, SCRIPT, stderr=subprocess.PIPE) as script:
        script.wait_line(lambda line: line.startswith(kind) and line.endswith("before"))
        script.signal(signal.SIGINT)
        first = script.end()
        assert "KeyboardInterrupt" in script.errors()
    assert first.returncode in INTERRUPTED
    assert first.acknowledged == ("interrupted nap",)
    assert log.count(MARK, "left") == 1
    assert first.left.rows["nap"].state is State.RUNNING
    assert sorted(path.name for path in tmp_path.iterdir()) == ["executions", "store.db", "store.db.lock"]

    with watched(replace(job, step_s=0.0), SCRIPT) as script:
        second = script.end()
    assert (second.returncode, second.acknowledged) == (0, ("result nap 12",))
    check_executions([first, second], log.lines())
    check_finished(second.left)
