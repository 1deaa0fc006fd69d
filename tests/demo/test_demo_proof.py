"""The proof of the demo must hold for a clean story and break for every kind of dirty one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aeterna.cli.demo.execution_log import Execution, ExecutionLog, Life, read_executions
from aeterna.cli.demo.proof import prove
from aeterna.durable.core.events import Payload, RunCompleted, RunCreated, RunStarted, StepCompleted
from aeterna.kernel.clock import SystemClock

NOTHING = Payload(b"jnull")
LIVES = [Life(1, 0), Life(2, 50), Life(3, 90)]


def done(label, at_us=0, attempt=1):
    return StepCompleted(at_us, "0", label, 1, b"", NOTHING, attempt)


def ran(label, life, start_us=0):
    return Execution(label, life, start_us, start_us + 1)


HISTORY = [
    RunCreated(0, "research", "1", NOTHING),
    RunStarted(1, 11),
    done("a"),
    done("b"),
    RunStarted(50, 12),
    done("c"),
    RunStarted(90, 13),
    done("d"),
    RunCompleted(99, NOTHING),
]
EXECUTIONS = [ran("a", 1), ran("b", 1), ran("c", 1), ran("c", 2), ran("d", 2), ran("d", 3)]


def test_a_clean_story_holds_and_its_figures_are_counted():
    proof = prove(HISTORY, LIVES, EXECUTIONS)

    assert proof.holds
    assert str(proof) == ("4 steps recorded, 6 executions started, 2 cut off by the kills, 0 finished steps ran twice")
    assert [(t.replayed, t.executed, t.cut_off) for t in proof.tallies] == [(0, 2, 1), (2, 1, 1), (3, 1, 0)]


@pytest.mark.parametrize(
    ("extra", "breach"),
    [
        (ran("a", 2), "step 'a' ran again after its completion was recorded"),
        (ran("b", 3), "step 'b' ran again after its completion was recorded"),
        (ran("a", 1), "step 'a' ran again after its completion was recorded"),
        (ran("d", 2), "step 'd' was executed 2 times in process 2, which did not record it"),
        (ran("x", 2), "step 'x' was executed in process 2, but the history does not have it"),
    ],
)
def test_an_execution_too_many_breaks_the_proof(extra, breach):
    proof = prove(HISTORY, LIVES, [*EXECUTIONS, extra])

    assert not proof.holds
    assert breach in proof.breaches


def test_a_finished_step_that_ran_again_is_counted_as_such():
    assert prove(HISTORY, LIVES, [*EXECUTIONS, ran("a", 2), ran("b", 3)]).repeated == 2


def test_a_recorded_step_that_nobody_executed_breaks_the_proof():
    proof = prove(HISTORY, LIVES, EXECUTIONS[1:])

    assert proof.breaches == ["step 'a' is recorded by process 1, which did not execute it"]


def test_a_completion_recorded_twice_breaks_the_proof():
    history = [*HISTORY[:-1], done("a"), HISTORY[-1]]

    assert "step 'a' is recorded 2 times" in prove(history, LIVES, EXECUTIONS).breaches


def test_a_run_that_did_not_complete_breaks_the_proof():
    assert prove(HISTORY[:-1], LIVES, EXECUTIONS).breaches == ["the run did not complete"]


def test_a_process_that_came_after_the_end_or_never_took_the_run_does_no_harm():
    """It executed nothing; the figures of the others stay theirs."""
    idle = [Life(1, 0), Life(2, 20), Life(3, 50), Life(4, 90), Life(5, 120)]
    moved = [replace(execution, life={1: 1, 2: 3, 3: 4}[execution.life]) for execution in EXECUTIONS]
    proof = prove(HISTORY, idle, moved)

    assert proof.holds
    assert [t.executed for t in proof.tallies] == [2, 0, 1, 1, 0]


def test_more_processes_at_work_than_took_the_run_break_the_proof():
    proof = prove(HISTORY, [*LIVES, Life(4, 95)], [*EXECUTIONS, ran("x", 4)])

    assert "4 processes ran, but 3 took the run: who recorded what is unclear" in proof.breaches


def test_a_retried_step_may_have_as_many_executions_as_attempts():
    history = [RunStarted(0, 11), done("a", attempt=2), RunCompleted(9, NOTHING)]

    assert prove(history, LIVES[:1], [ran("a", 1), ran("a", 1)]).holds
    assert not prove(history, LIVES[:1], [ran("a", 1)] * 3).holds


def test_the_execution_log_tells_lives_and_executions_apart(tmp_path):
    """The end line is missing for an execution that was cut off, or that raised."""
    path = tmp_path / "executions.jsonl"
    log = ExecutionLog(path, SystemClock())
    log.life_starts()
    with log.executing("a"):
        pass
    with pytest.raises(ZeroDivisionError), log.executing("b"):
        raise ZeroDivisionError
    log.life_starts()
    with log.executing("b"):
        pass

    lives, executions = read_executions(path.read_text().splitlines())

    assert [life.number for life in lives] == [1, 2]
    assert [(e.label, e.life, e.end_us is None) for e in executions] == [
        ("a", 1, False),
        ("b", 1, True),
        ("b", 2, False),
    ]
    assert all(e.end_us is None or e.end_us >= e.start_us for e in executions)


def test_an_unknown_line_in_the_execution_log_is_an_error():
    with pytest.raises(ValueError, match="unknown kind of line 'pause'"):
        read_executions([json.dumps({"kind": "pause"})])
