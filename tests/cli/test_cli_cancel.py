"""``aeterna cancel``: while the program runs, and while it does not."""

from __future__ import annotations

import asyncio
import signal

from tests.cli.conftest import finish, give, leave_pending, start


def test_a_run_is_cancelled_from_another_process_while_its_program_runs(place):
    """The program is told at once, the workflow cleans up, and the run ends CANCELLED."""
    program = start("run", "jobs:waits", place / "out", "--id", "w")
    assert program.stdout.readline() == "waiting\n"
    answer = give("cancel", "w", "--reason", "changed my mind")
    ended = finish(program)
    assert (answer.code, "was told" in answer.out) == (0, True)
    assert ended.code == 1
    assert "run 'w' was cancelled: changed my mind" in ended.err
    assert (place / "out").read_text() == "cleaned up"
    status = give("status", "w", "--json").json
    assert (status["state"], status["reason"]) == ("CANCELLED", "changed my mind")
    assert give("cancel", "w").code == 1


def test_a_run_is_cancelled_while_no_program_runs_and_cleans_up_at_the_next_start(place):
    program = start("run", "jobs:waits", place / "out", "--id", "w")
    assert program.stdout.readline() == "waiting\n"
    program.send_signal(signal.SIGKILL)
    finish(program)

    first = give("workflow", "cancel", "w", "--json")
    second = give("cancel", "w")
    assert (first.code, first.json) == (0, {"id": "w", "done": "recorded"})
    assert (second.code, "asked to cancel before" in second.out) == (0, True)
    status = give("status", "w")
    assert "RUNNING (cancelling)" in status.out
    assert not (place / "out").exists()

    again = give("run", "jobs:waits", place / "out", "--id", "w")
    assert again.code == 1
    assert (place / "out").read_text() == "cleaned up"
    assert give("status", "w", "--json").json["state"] == "CANCELLED"


def test_a_run_that_has_not_begun_is_cancelled_at_once(cli, place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    answer = cli("cancel", "p", "--store", "s.db")
    assert (answer.code, answer.out) == (0, "cancelled run 'p', which had not begun\n")
    ended = cli("cancel", "p", "--store", "s.db")
    assert (ended.code, ended.err) == (1, "aeterna: run 'p' is CANCELLED already and cannot be cancelled\n")


def test_an_unknown_run_cannot_be_cancelled(cli, place):
    asyncio.run(leave_pending(place / "s.db", "order-1"))
    answer = cli("cancel", "ordr-1", "--store", "s.db")
    assert (answer.code, answer.err) == (
        4,
        "aeterna: no run has the id 'ordr-1' in s.db; did you mean 'order-1'?\n",
    )
