"""The process that checks a configuration for the daemon: a plan and 0, or mistakes and 2, never both."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from aeterna.config.__main__ import USAGE
from aeterna.config.loading import load
from aeterna.config.spec import decode
from tests.config.conftest import OLDER, Place


def check(*arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "aeterna.config", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | environ, timeout=60, check=False)


@pytest.mark.parametrize("name", ["aeterna-A.yaml", "aeterna-B.yaml"])
def test_a_good_configuration_is_a_plan_on_standard_output(name: str) -> None:
    path = OLDER / name
    ended = check(str(path))
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert decode(ended.stdout) == load(path, {})


def test_overrides_and_the_environment_reach_it(place: Place) -> None:
    path = place.write("service: {name: a, command: [b]}\nsockets: {}")
    ended = check(str(path), "--override", "watchdog=5s", "--override=restart=no", AETERNA__STOP_SIGNAL="INT")
    [service] = decode(ended.stdout).services
    assert (service.watchdog_ms, service.restart.rule, service.stop_signal) == (5_000, "no", 2)


def test_mistakes_are_on_standard_error_and_nothing_is_on_standard_output(place: Place) -> None:
    path = place.write("service: {name: a}\nsocket: {}")
    ended = check(str(path))
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.decode() == (
        f"{path}:2: socket\n  wrong: there is no such key\n  right: did you mean 'sockets'?\n"
    )


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--override", "a=b"]])
def test_a_command_line_that_names_no_file_is_refused(arguments: list[str]) -> None:
    ended = check(*arguments)
    assert (ended.returncode, ended.stdout, ended.stderr.decode()) == (2, b"", f"{USAGE}\n")


def test_it_loads_no_library_of_models_and_nothing_of_the_other_rooms(place: Place) -> None:
    """That is what makes it start fast enough to be part of every reload."""
    path = place.write("service: {name: a, command: [b]}\nsockets: {}")
    program = (
        "import json, os, pathlib, sys\n"
        "from aeterna.config.loading import load\n"
        f"load(pathlib.Path({str(path)!r}), os.environ)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    # Whoever measures coverage loads more.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    ended = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, timeout=60, check=True)
    loaded = set(json.loads(ended.stdout))
    assert not loaded & {"pydantic", "argparse", "asyncio", "logging", "apsw", "tomllib"}
    rooms = {name.split(".")[1] for name in loaded if name.startswith("aeterna.")}
    assert rooms == {"config", "kernel"}
