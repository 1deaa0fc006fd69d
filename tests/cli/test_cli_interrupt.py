"""Ctrl-C while a plain step runs: its thread cannot be stopped, so it is named, and a second Ctrl-C does not wait."""

from __future__ import annotations

import signal

from tests.cli.conftest import finish, give, start

SLOW = """
import pathlib
import threading

from aeterna import App, Context

app = App("slow")


@app.step
def compute() -> None:
    print("computing", flush=True)
    while not pathlib.Path("go").exists():
        threading.Event().wait(0.02)


@app.workflow
async def work(ctx: Context) -> None:
    await compute()
"""


def interrupted(place):
    """A process whose plain step goes on after Ctrl-C, and what was said by then."""
    (place / "slow.py").write_text(SLOW)
    process = start("run", "slow:work", "--id", "s")
    assert process.stdout.readline() == "computing\n"
    process.send_signal(signal.SIGINT)
    said = []
    while not said or "Ctrl-C again" not in said[-1]:
        said.append(process.stderr.readline())
        assert said[-1], said
    return process, said


def test_the_step_is_named_and_the_second_ctrl_c_ends_at_once(place):
    process, said = interrupted(place)
    assert said[0].startswith("stopped; nothing recorded is lost. Run 's' goes on with:")
    assert "the thread of step 'compute' still runs" in said[-1]
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert (ended.code, ended.err) == (130, "")


def test_the_program_ends_when_the_step_does(place):
    process, _ = interrupted(place)
    (place / "go").touch()
    ended = finish(process)
    assert (ended.code, ended.err) == (130, "")
    assert give("run", "slow:work", "--id", "s").code == 0


def test_where_no_thread_is_left_nothing_is_said_of_one(place):
    process = start("run", "jobs:waits", place / "out")
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert "still runs" not in finish(process).err
