"""The checker notices what it is there for: each rule against a story that breaks it."""

from __future__ import annotations

import msgspec
import pytest

from aeterna.durable.core import events as ev
from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.core.states import Detail, State
from aeterna.durable.stores.contract import RunRow
from tests.crash.checker import Life, StoreView, check_finished, check_lives
from tests.crash.execution_log import START, Line

CREATED = ev.RunCreated(1, "job", "1", Payload(b"j[]"))
STARTED = ev.RunStarted(2, 1)
ENDED = ev.RunCompleted(9, Payload(b"j2"))


def step(name: str) -> ev.StepCompleted:
    return ev.StepCompleted(3, "0", name, 1, b"12345678", Payload(b"j1"))


def view(*events: AnyEvent) -> StoreView:
    state = State.COMPLETED if ENDED in events else State.RUNNING
    row = RunRow(1, "R", "job", "1", state, Detail.NONE, 1, 9, len(events), 1)
    return StoreView({"R": row}, {"R": list(events)})


def start(name: str, pid: int) -> Line:
    return Line(START, pid, "R", name)


KILLED = Life(1, -9, ("started R",), view(CREATED, STARTED, step("a")))
FINISHED = Life(2, 0, ("result R 2",), view(CREATED, STARTED, step("a"), step("b"), ENDED))
SWAPPED = view(CREATED, STARTED, step("b"), step("a"), ENDED)
LINES = [start("a", 1), start("b", 1), start("b", 2)]


def test_a_story_as_it_should_be_passes() -> None:
    """One kill, which hit step b in flight."""
    check_lives([KILLED, FINISHED], LINES)


def changed(life: Life, **fields: object) -> Life:
    return Life(**{name: fields.get(name, getattr(life, name)) for name in Life.__slots__})


@pytest.mark.parametrize(
    ("lives", "lines", "complaint"),
    [
        ([KILLED, FINISHED], [*LINES, start("a", 2)], "had completed before"),
        ([KILLED, FINISHED], [*LINES, start("b", 1)], "2 executions, 0 outcomes"),
        ([KILLED, FINISHED], LINES[:2], "0 executions, 1 outcomes"),
        (
            [KILLED, changed(FINISHED, left=view(CREATED, STARTED, step("b"), step("a"), ENDED))],
            LINES,
            "lost or changed",
        ),
        ([changed(KILLED, acknowledged=("started Q",)), FINISHED], LINES, "not in the store"),
        ([changed(KILLED, acknowledged=("result R 2",)), FINISHED], LINES, "has not ended"),
        ([KILLED, FINISHED, changed(FINISHED, pid=3, acknowledged=("result R 3",))], LINES, "two different results"),
        ([KILLED, changed(FINISHED, acknowledged=(), left=KILLED.left)], LINES[:1], "run R is RUNNING"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_rule_is_noticed(lives, lines, complaint) -> None:
    """An execution too many or too few, and anything lost, changed or made up."""
    with pytest.raises(AssertionError, match=complaint):
        check_lives(lives, lines)


def test_a_step_that_ended_twice_is_noticed() -> None:
    """Also where the store says nothing is wrong."""
    with pytest.raises(AssertionError, match="ended more than once"):
        check_finished(view(CREATED, STARTED, step("a"), step("a"), ENDED))


def test_a_row_that_disagrees_with_its_history_is_noticed() -> None:
    """Its length is the history's."""
    good = view(CREATED, STARTED, ENDED)
    row = msgspec.structs.replace(good.rows["R"], length=2)
    with pytest.raises(AssertionError, match="its row and its history disagree"):
        check_finished(StoreView({"R": row}, good.histories))
