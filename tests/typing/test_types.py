"""The SDK's types: right calls check, wrong calls do not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REPORTED = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")
EXPECTED = re.compile(r"# E: (?P<code>[a-z-]+)$")


def check(name: str, cache: Path) -> set[tuple[int, str]]:
    """The errors mypy finds in one file, as line and code."""
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), str(HERE / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1], check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = [match for line in done.stdout.splitlines() if (match := REPORTED.match(line))]
    return {(int(match["line"]), match["code"]) for match in found if match["file"].endswith(name)}


def test_right_calls_type_check_with_the_types_they_promise(tmp_path: Path) -> None:
    """No error at all in the file of good calls."""
    assert check("good_calls.py", tmp_path) == set()


def test_each_wrong_call_is_a_type_error_and_nothing_else_is(tmp_path: Path) -> None:
    """The errors are exactly the marked lines with the marked codes."""
    lines = (HERE / "bad_calls.py").read_text().splitlines()
    marked = {(number, match["code"]) for number, line in enumerate(lines, 1) if (match := EXPECTED.search(line))}
    assert len(marked) >= 10
    assert check("bad_calls.py", tmp_path) == marked
