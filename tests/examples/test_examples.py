"""Every example runs, and prints what its first lines say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.source import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TOPICS = {
    "quickstart",
    "order_processing",
    "parallel_batch",
    "error_handling",
    "long_task",
    "child_workflows",
    "conditional_logic",
    "human_approval",
}


def claimed_output(path: Path) -> str:
    """What the docstring shows below ``$ python NAME``, up to an empty line."""
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert words is not None
    shown = words.partition(f"$ python {path.name}\n")[2].partition("\n\n")[0]
    assert shown, f"{path} does not show its output"
    return textwrap.dedent(shown) + "\n"


def run_example(path: Path, place: Path, **variables: str) -> str:
    """What it prints, started in a directory of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AETERNA_")}
    environment |= variables
    done = subprocess.run(
        [sys.executable, path], cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_is_an_example_of_every_topic() -> None:
    assert {path.stem for path in EXAMPLES} == TOPICS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path: Path, tmp_path: Path) -> None:
    assert run_example(path, tmp_path) == claimed_output(path)


def test_an_example_that_chooses_its_ids_finds_the_earlier_run(tmp_path: Path) -> None:
    path = ROOT / "examples" / "child_workflows.py"
    assert run_example(path, tmp_path) == run_example(path, tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server over a SQLite file."""
    place = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "aeterna", "serve", "--db", "runs.db", "--grpc-port", "0", "--http-port", "0"]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                ready = re.search(r"ready: grpc (127\.0\.0\.1:\d+)", line)
                if ready is not None:
                    yield ready[1]
                    break
            else:
                pytest.fail("the server ended before it was ready")
        finally:
            process.terminate()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_the_same_with_a_server(path: Path, tmp_path: Path, server: str) -> None:
    """Not a line of it changes: the environment names the server."""
    assert run_example(path, tmp_path, AETERNA_SERVER=server) == claimed_output(path)
    assert not list(tmp_path.iterdir()), "nothing is kept here"
