"""A run that kills its process again and again is set aside, over a SQLite file as at a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from aeterna.durable.stores.contract import CRASH_LIMIT
from tests.crash.lives import ROOT


def test_after_ten_deaths_in_the_same_step_the_run_is_stuck_until_it_is_resumed(tmp_path: Path) -> None:
    """The first death comes after a step was recorded, so it takes one more. Who waited beside the run, its parent
    among them, is not blamed; and once the reason is gone, resuming the run is all it takes."""
    command = [sys.executable, "-m", "tests.crash.poisoned_lives", str(tmp_path / "store.db"), str(tmp_path / "cure")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=150, check=False)
    assert ended.returncode == 0, ended.stderr
    told, killed = ended.stdout.splitlines()
    assert CRASH_LIMIT <= int(killed) <= CRASH_LIMIT + 1
    tale = json.loads(told)
    assert tale["found"] == [["stuck", CRASH_LIMIT], ["waiting_child", 0], ["sleeping", 0]]
    assert f"{CRASH_LIMIT} processes in a row died" in tale["note"]
    assert "aeterna workflow resume parent/0:poison:1" in tale["note"]
    assert tale["result"] == "survived"
