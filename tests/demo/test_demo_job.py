"""The demo's job in one process, undisturbed."""

from __future__ import annotations

import importlib
import json
import sys

import pytest

from aeterna.cli.demo.command import QUESTION
from aeterna.cli.demo.execution_log import read_executions
from aeterna.cli.demo.places import Places
from aeterna.cli.demo.supervise import steps_planned


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """The worker's module, freshly imported: the job's app looks for its store when it is created."""
    monkeypatch.setenv("AETERNA_STORE", f"sqlite:///{tmp_path}/run.db")
    for name in ("aeterna.cli.demo.job", "aeterna.cli.demo.worker"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("aeterna.cli.demo.worker")


def test_the_job_runs_every_step_once_and_a_second_start_runs_none(worker, tmp_path):
    """Starting again under the same workflow id gives the recorded answer; the execution log does not grow."""
    arguments = ["--dir", str(tmp_path), "--question", QUESTION]
    assert worker.main(arguments) == 0
    _, executions = read_executions(Places(tmp_path).executions.read_text().splitlines())
    first_answer = Places(tmp_path).answer.read_text()
    assert worker.main(arguments) == 0

    assert len(executions) == len({execution.label for execution in executions}) == sum(steps_planned().values())
    assert len(read_executions(Places(tmp_path).executions.read_text().splitlines())[1]) == len(executions)
    assert Places(tmp_path).answer.read_text() == first_answer
    assert json.loads(first_answer)["question"] == QUESTION
