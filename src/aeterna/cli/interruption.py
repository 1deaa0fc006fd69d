"""Ctrl-C while a workflow runs: what still runs, how to end at once, and how the run goes on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from aeterna.cli.exit_codes import INTERRUPTED
from aeterna.cli.standard_output import step_threads
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.program import StepRequest

_JOIN_S = 0.05
"""How long a thread that has nothing to do may take to end."""


def plain_steps_in_flight(engine: Engine) -> list[str]:
    """The names of the plain functions that the engine's runs wait for."""
    names = [
        wait.request.definition.name
        for runner in engine.residents.all()
        for wait in runner.execution.waits.values()
        if isinstance(wait.request, StepRequest)
        and not wait.request.definition.is_async
        and wait.key not in runner.run.retries
    ]
    return list(dict.fromkeys(names))


def end_at_once_next_time() -> None:
    """From now on Ctrl-C ends the process without waiting for anything: a thread in a step cannot be stopped."""
    signal.signal(signal.SIGINT, _end_at_once)


def what_still_runs(steps: list[str]) -> str:
    """A sentence about the threads in which steps still run; empty if there are none."""
    for thread in step_threads():
        thread.join(_JOIN_S)
        if thread.is_alive():
            names = ", ".join(map(repr, steps)) or "that was given up"
            return (
                f"the thread of step {names} still runs and cannot be stopped: this program ends when it does. "
                "Ctrl-C again ends it at once"
            )
    return ""


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, RuntimeError, ValueError):
            stream.flush()
    os._exit(INTERRUPTED)
