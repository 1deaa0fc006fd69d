"""Every example runs, and prints what its first lines say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.source import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*/main.py"))
TOPICS = {
    "quickstart",
    "order-processing",
    "parallel-batch",
    "error-handling",
    "long-task",
    "child-workflows",
    "conditional-logic",
    "human-approval",
}


def claimed_output(path: Path) -> str:
    """What the docstring shows below ``$ python main.py``."""
    text = path.read_text(encoding="utf-8")
    shown = re.search(r"^    \$ python main\.py\n((?:    .*\n)+)", text, flags=re.MULTILINE)
    assert shown is not None, f"{path} does not show its output"
    return re.sub(r"^    ", "", shown[1], flags=re.MULTILINE)


def run_example(path: Path, place: Path) -> str:
    """What it prints, started in a directory of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AETERNA_")}
    done = subprocess.run(
        [sys.executable, path], cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_is_an_example_of_every_topic() -> None:
    assert {path.parent.name for path in EXAMPLES} == TOPICS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_prints_what_it_says(path: Path, tmp_path: Path) -> None:
    assert run_example(path, tmp_path) == claimed_output(path)


def test_an_example_that_chooses_its_ids_finds_the_earlier_run(tmp_path: Path) -> None:
    path = ROOT / "examples/child-workflows/main.py"
    assert run_example(path, tmp_path) == run_example(path, tmp_path)
