"""The programs in the documentation are run, and print what the pages say they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Program, programs, read_page

README = read_page("README.md")


@pytest.mark.parametrize("program", [p for p in programs() if "README" not in p.place], ids=lambda p: p.place)
def test_a_program_of_the_documentation_runs(program: Program, tmp_path: Path) -> None:
    """It ends well, in a folder of its own, and prints what the block below it says."""
    path = tmp_path / ("test_page.py" if program.is_test else "page.py")
    path.write_text(program.text, encoding="utf-8")
    how = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)] if program.is_test else []
    ended = subprocess.run(
        [sys.executable, *how, path.name], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, f"{program.place}\n{ended.stdout}\n{ended.stderr}"
    assert program.output is None or ended.stdout == program.output


def test_the_first_program_goes_on_after_a_kill_as_the_readme_says(tmp_path: Path, monkeypatch) -> None:
    """The console block's commands, carried out in a shell, print what it shows; a third start prints the end again."""
    [program] = [p for p in programs() if "README" in p.place]
    [console] = [block for block in README.blocks if block.language == "console"]
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # As on a terminal, where each line is written at once.
    (tmp_path / "orders.py").write_text(program.text, encoding="utf-8")
    shown = ""
    commands = [line[2:] for line in console.text.splitlines() if line.startswith("$ ")]
    for command in commands:
        shown += f"$ {command}\n{run_in_shell(command, tmp_path)}"
    assert shown == console.text
    assert run_in_shell(commands[-1], tmp_path) == shown.splitlines(keepends=True)[-1]


QUICKSTART = read_page("docs/quickstart.md")
INSTALLING = ("python3 -m venv", ". .venv/bin/activate", "pip install .")


def test_the_quickstart_works_when_it_is_copied_in_order(tmp_path: Path, monkeypatch) -> None:
    """Every file is saved (or added to) where the page says so and every command is given, in one shell's directory;
    only the installation is taken as done."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("AETERNA_STORE", raising=False)
    (tmp_path / "checkout").mkdir()
    place = tmp_path / "aeterna-quickstart"
    page = QUICKSTART.text.splitlines()
    for block in QUICKSTART.blocks:
        before = " ".join(page[: block.line - 1]).rsplit("```", 1)[-1]
        named = re.findall(r"`(\w+\.py)`", before)
        if block.language == "python" and named:
            with (place / named[-1]).open("a", encoding="utf-8") as file:
                file.write(block.text)
        for line in block.text.splitlines() if block.language == "sh" else ():
            if not line.startswith(INSTALLING):
                folder = place if place.exists() else tmp_path / "checkout"
                done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert {path.name for path in place.iterdir()} >= {"report.py", "greetings.py", ".aeterna"}


def test_the_readme_says_what_workflow_code_cannot_hide_from_the_loop() -> None:
    """Clocks and randomness are not refused, and the README does not say so."""
    text = " ".join(README.text.split())
    assert "refuses clocks" not in text
    assert "`ctx.now()` and `ctx.random()`" in text


def run_in_shell(command: str, folder: Path) -> str:
    """What the command prints, then what the shell says of a killed one, without the details of an interactive one."""
    script = f"{command}\n:"  # A shell that has nothing to do afterwards becomes the command, and tells of no death.
    ended = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    said = "".join("Killed\n" if " Killed " in line else f"{line}\n" for line in ended.stderr.splitlines())
    return ended.stdout + said
