"""A directory of one's own with some workflows in it, and two ways to give a command there."""

from __future__ import annotations

import itertools
import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from aeterna.cli.main import main
from aeterna.durable.stores.sqlite import SqliteStore

WORKFLOWS = """
import pathlib

from aeterna import App, Context, RetryPolicy

app = App("shop")


@app.step
def add(a: int, b: int) -> int:
    return a + b


@app.step
def say(text: str) -> None:
    print(text, flush=True)


@app.step
def note(path: str, text: str) -> None:
    with pathlib.Path(path).open("a") as file:
        file.write(text)


@app.step(retry=RetryPolicy(maximum_attempts=2, initial_interval=0))
def break_down() -> None:
    raise ValueError("no stock")


@app.workflow
async def total(ctx: Context, a: int, b: int = 1) -> dict[str, int]:
    return {"total": await add(a, b)}


@app.workflow
async def echo(ctx: Context, text: str) -> str:
    return text


@app.workflow(name="raw-bytes")
async def raw(ctx: Context) -> bytes:
    return b"abc"


@app.workflow
async def fails(ctx: Context) -> None:
    await break_down()


@app.workflow
async def waits(ctx: Context, path: str) -> None:
    try:
        await say("waiting")
        await ctx.sleep(hours=1)
    finally:
        await note(path, "cleaned up")


@app.workflow
async def many(ctx: Context, count: int) -> int:
    await say("started")
    for number in range(count):
        await add(number, 1)
    return count
"""

_numbers = itertools.count(1)
_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_process_is_left():
    """A test that fails half-way leaves nothing running."""
    yield
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, empty but for a module of workflows; no store is named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AETERNA_STORE", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "jobs.py").write_text(WORKFLOWS)
    return tmp_path


@pytest.fixture
def jobs(place: Path) -> str:
    """The name of the module for commands in this process, which imports each name only once."""
    name = f"jobs_{next(_numbers)}"
    (place / "jobs.py").rename(place / f"{name}.py")
    return name


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]):
    """Give a command inside this process."""

    def give(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return give


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """Give a command in a process of its own."""
    command = [sys.executable, "-c", "import sys; from aeterna.cli.main import main; sys.exit(main())"]
    defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": dict(os.environ)}
    process = subprocess.Popen([*command, *map(str, arguments)], **{**defaults, **options})
    _started.append(process)
    return process


def finish(process: subprocess.Popen[str]) -> Answer:
    """Wait for it to end."""
    out, err = process.communicate(timeout=30)
    return Answer(process.returncode, out or "", err or "")


def give(*arguments: object, **options: object) -> Answer:
    """Give a command in a process of its own and wait for its end."""
    return finish(start(*arguments, **options))


def shown_on_a_terminal(*arguments: object) -> bytes:
    """What a command that succeeds writes to a standard error that is a terminal."""
    answer, shown = give_on_a_terminal(*arguments)
    assert answer.code == 0
    return shown


def give_on_a_terminal(*arguments: object) -> tuple[Answer, bytes]:
    """Give a command whose standard error is a terminal, and its standard output is not; what that shows."""
    ours, theirs = pty.openpty()
    process = start(*arguments, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    return finish_on_a_terminal(process, ours)


def finish_on_a_terminal(process: subprocess.Popen[str], terminal: int) -> tuple[Answer, bytes]:
    """Read what the terminal shows until nobody holds it any more, and wait for the process."""
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:
        # The end of a terminal that nobody holds any more.
        pass
    os.close(terminal)
    return finish(process), shown


async def leave_pending(path: Path, run_id: str) -> None:
    """A run that was created and that nobody has begun."""
    from aeterna.durable.core.codec import encode
    from aeterna.durable.core.events import RunCreated
    from aeterna.durable.core.states import Detail, State
    from aeterna.durable.stores.contract import CreateRun

    store = SqliteStore(path, "shop")
    await store.open()
    created = RunCreated(1, "total", "1", encode([[1], {}], "x", 100))
    await store.commit([CreateRun(run_id, "total", "1", State.PENDING, Detail.QUEUED, None, (created,))])
    await store.close()
