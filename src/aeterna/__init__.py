"""Aeterna: the runtime that keeps AI backends alive.

The names below are the public API; each is imported when it is first used, so that the command line starts at once.
"""

from __future__ import annotations

import importlib

from aeterna.kernel import version

# Not typing's: loading that takes four of the fifty milliseconds that a command may take.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from aeterna.durable.core.retry import RetryPolicy
    from aeterna.durable.engine.durability import Durability, Level
    from aeterna.durable.sdk import activity
    from aeterna.durable.sdk.app import App
    from aeterna.durable.sdk.context import Context
    from aeterna.durable.sdk.handle import Handle
    from aeterna.durable.sdk.settings import Server
    from aeterna.durable.sdk.step import Step
    from aeterna.durable.sdk.workflow import Workflow
    from aeterna.kernel.errors import (
        AeternaError,
        NonDeterminismError,
        PermanentError,
        QueryFailedError,
        StepFailed,
        StepTimeoutError,
        StoreError,
        UsageError,
        WorkflowCancelledError,
        WorkflowFailedError,
    )
    from aeterna.kernel.limits import Limits

_HOMES = {
    "App": "durable.sdk.app",
    "Context": "durable.sdk.context",
    "Durability": "durable.engine.durability",
    "Handle": "durable.sdk.handle",
    "Level": "durable.engine.durability",
    "Limits": "kernel.limits",
    "RetryPolicy": "durable.core.retry",
    "Server": "durable.sdk.settings",
    "Step": "durable.sdk.step",
    "Workflow": "durable.sdk.workflow",
    **dict.fromkeys(
        (
            "AeternaError",
            "NonDeterminismError",
            "PermanentError",
            "QueryFailedError",
            "StepFailed",
            "StepTimeoutError",
            "StoreError",
            "UsageError",
            "WorkflowCancelledError",
            "WorkflowFailedError",
        ),
        "kernel.errors",
    ),
}

__all__ = [
    "AeternaError",
    "App",
    "Context",
    "Durability",
    "Handle",
    "Level",
    "Limits",
    "NonDeterminismError",
    "PermanentError",
    "QueryFailedError",
    "RetryPolicy",
    "Server",
    "Step",
    "StepFailed",
    "StepTimeoutError",
    "StoreError",
    "UsageError",
    "Workflow",
    "WorkflowCancelledError",
    "WorkflowFailedError",
    "activity",
]

__version__ = version.VERSION


def __getattr__(name: str) -> Any:
    if name == "activity":
        return importlib.import_module("aeterna.durable.sdk.activity")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'aeterna' has no attribute {name!r}")
    return getattr(importlib.import_module(f"aeterna.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
