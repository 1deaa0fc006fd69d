"""From ``MODULE:WORKFLOW`` to the workflow."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from aeterna.cli.suggestions import did_you_mean
from aeterna.durable.sdk.app import App
from aeterna.durable.sdk.step import Step
from aeterna.durable.sdk.workflow import Workflow
from aeterna.kernel.errors import AeternaError, UnknownWorkflowError, UsageError


class ModuleUnusableError(UnknownWorkflowError):
    """The module cannot be found or imported."""


def load_workflow(given: str) -> Workflow[..., Any]:
    """The workflow that ``MODULE:WORKFLOW`` or ``path/file.py:WORKFLOW`` names, by its variable or its recorded name.

    Raises `UnknownWorkflowError` that lists what there is.
    """
    place, colon, name = given.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"{given!r} names no workflow: write MODULE:WORKFLOW, like app:fulfil or app.py:fulfil")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    workflows = _workflows_of(module)
    try:
        return workflows[name]
    except KeyError:
        if isinstance(vars(module).get(name), Step):
            reason = f"{name!r} is a step: call it in a workflow, and run that one"
        elif not workflows:
            reason = "it has no workflows: decorate an async function with @app.workflow"
        else:
            reason = f"it has {', '.join(workflows)}{did_you_mean(name, workflows)}"
        raise UnknownWorkflowError(f"module {place} has no workflow {name!r}; {reason}") from None


def _workflows_of(module: ModuleType) -> dict[str, Workflow[..., Any]]:
    """By variable, then by recorded name, of the apps in the module; a variable wins."""
    values = vars(module)
    found = {name: value for name, value in values.items() if isinstance(value, Workflow)}
    for app in values.values():
        if isinstance(app, App):
            for workflow in app.workflows:
                if workflow not in found.values():
                    found.setdefault(workflow.name, workflow)
    for workflow in list(found.values()):
        found.setdefault(workflow.name, workflow)
    return found


def _load_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name, error) from error
        raise ModuleUnusableError(
            f"there is no module {name!r} in {here} or among those installed{_files(name)}"
        ) from error
    except AeternaError:
        raise
    except Exception as error:
        raise _broken(name, error) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModuleUnusableError(f"there is no file {path}{_files(path.stem, path.parent)}")
    directory = str(path.resolve().parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    taken = sys.modules.get(path.stem)
    if taken is not None:
        raise UsageError(
            f"cannot load {path}: Python has another module {path.stem!r} in use; give the file another name"
        )
    # Errors of steps are recorded by module and class, so the file is known by its own name.
    return _load_module(path.stem)


def _files(name: str, directory: Path = Path()) -> str:
    return (
        did_you_mean(name.split(".", maxsplit=1)[0], sorted(path.stem for path in directory.glob("*.py")))
        if directory.is_dir()
        else ""
    )


def _broken(name: str, error: BaseException) -> ModuleUnusableError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return ModuleUnusableError(
        f"module {name!r} cannot be imported: {type(error).__name__}: {error}{place}; --debug shows the traceback"
    )
