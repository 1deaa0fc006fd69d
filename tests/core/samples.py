"""One event of every type, with strategies for random ones."""

from __future__ import annotations

import typing

from hypothesis import strategies as st

from aeterna.durable.core import events as ev
from aeterna.durable.core.identity import Kind

PLACE = ("0.1", "fetch", 2)
ERROR = ev.ErrorRecord("builtins:ValueError", "no", "Traceback ...", ev.Payload(b'j["no"]'))
JSON = ev.Payload(b"j1")

EVENTS: tuple[ev.AnyEvent, ...] = (
    ev.RunCreated(1, "order", "1", ev.Payload(b"j[[],{}]"), "parent", "3.11"),
    ev.RunStarted(2, 7),
    ev.StepCompleted(3, *PLACE, b"12345678", JSON, 2, 99),
    ev.StepFailed(4, *PLACE, b"12345678", ERROR, 3, 5),
    ev.StepRetrying(5, *PLACE, b"12345678", ERROR, 1, 1_000, 5),
    ev.TimerStarted(6, *PLACE, 77),
    ev.TimerFired(7, *PLACE),
    ev.ChildStarted(8, *PLACE, b"12345678", "child-1"),
    ev.ChildCompleted(9, *PLACE, JSON),
    ev.ChildFailed(10, *PLACE, ERROR),
    ev.CancelRequested(11, "why"),
    ev.RunCompleted(12, JSON),
    ev.RunFailed(13, ERROR),
    ev.RunCancelled(14, "why"),
    ev.WaitAbandoned(15, *PLACE, "timer"),
    ev.SignalReceived(16, 3, "s-1", "approve", JSON),
    ev.RunPaused(17, "why", 4),
    ev.RunResumed(18, 5),
    ev.StepHeartbeat(19, *PLACE, b"12345678", 2, JSON),
)
KINDS: tuple[type[ev.Event], ...] = typing.get_args(ev.AnyEvent)

_field_strategies: dict[object, st.SearchStrategy[object]] = {
    int: st.integers(0, 1 << 62),
    str: st.text(),
    bytes: st.binary(max_size=8),
    ev.Payload: st.binary(max_size=30),
}
_field_strategies[str | None] = st.none() | st.text()
_field_strategies[ev.ErrorRecord] = st.builds(
    ev.ErrorRecord, st.text(), st.text(), st.text(), st.none() | st.binary(max_size=9)
)


def random_events() -> st.SearchStrategy[ev.AnyEvent]:
    """Any event with any values in its fields."""
    return st.one_of([_builds(kind) for kind in KINDS])


def _builds(kind: type[ev.Event]) -> st.SearchStrategy[typing.Any]:
    hints = typing.get_type_hints(kind)
    fields = [_field_strategies[hints[name]] for name in kind.__struct_fields__]
    if kind is ev.WaitAbandoned:
        fields[-1] = st.sampled_from([wait.value for wait in Kind])
    return st.builds(kind, *fields)
