"""What a batch of writes comes to in rows, supposing that nothing stands in its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from aeterna.durable.stores.contract import Append, Appended, Created, CreateRun, Head, Outcome
from aeterna.durable.stores.creations import body_of, first_and_last_us, require_creatable
from aeterna.durable.stores.sqlite.rows import requires_text

Values = tuple[Any, ...]

Planned = Append | CreateRun
"""Writes that can be planned before the first of them is carried out."""

_APPENDED = Appended()


class Plan:
    """The rows of each statement for ``writes``, the outcomes they have if all goes well, and how many row
    changes that makes.

    Rows of one kind go to one prepared statement together, all runs first, then all segments, then the messages they
    record, then all heads. That equals the order of the writes: a run's segments keep theirs, no statement changes an
    epoch, and a key is known only after the commit that made it. A run that exists or an old epoch changes fewer rows
    than planned; a place that is not the end of the history, and an append that has no rows to count, make the plan
    uncertain from the start.

    ``length_of`` tells how long a run's history is before these writes (None: no such run in this namespace, and then
    nothing certain can be planned for it); ``lengths`` how long afterwards. Raises `UnicodeEncodeError` for text that
    UTF-8 cannot hold.
    """

    __slots__ = (
        "_length_of",
        "_namespace",
        "consumed",
        "heads",
        "is_certain",
        "lengths",
        "next_key",
        "outcomes",
        "runs",
        "segments",
    )

    def __init__(
        self, namespace: int, next_key: int, length_of: Callable[[int], int | None], writes: Sequence[Planned]
    ) -> None:
        self.next_key = next_key
        self.runs: list[Values] = []
        self.segments: list[Values] = []
        self.consumed: list[Values] = []
        self.heads: list[Values] = []
        self.outcomes: list[Outcome] = []
        self.lengths: dict[int, int] = {}
        self.is_certain = True
        self._length_of = length_of
        self._namespace = namespace
        for write in writes:
            match write:
                case Append():
                    self._add_append(write)
                case CreateRun():
                    self._add_run(write)
                case _:
                    assert_never(write)

    @property
    def row_changes(self) -> int:
        """How many rows are added or changed if all goes well."""
        return len(self.runs) + len(self.segments) + len(self.consumed) + len(self.heads)

    def _add_append(self, write: Append) -> None:
        key, first, events, head = write.key, write.first, write.events, write.head
        length = self.lengths.get(key)
        if length is None:
            length = self._length_of(key)
        if first != length or not (events or head):
            self.is_certain = False
        if events:
            self.segments.append((key, first, len(events), body_of(events), write.epoch))
        if write.consumed:
            self.consumed += [(key, number, write.epoch) for number in write.consumed]
        if head is not None:
            self.heads.append(_head_values(write, head))
        self.lengths[key] = first + len(events)
        self.outcomes.append(_APPENDED)

    def _add_run(self, write: CreateRun) -> None:
        key, self.next_key = self.next_key, self.next_key + 1
        epoch = 0 if write.owner is None else 1
        self.runs.append(_run_values(key, self._namespace, write))
        self.segments.append((key, 0, len(write.events), body_of(write.events), epoch))
        self.lengths[key] = len(write.events)
        self.outcomes.append(Created(key, epoch))


def _head_values(write: Append, head: Head) -> Values:
    """The parameters of ``change_head``."""
    is_final = head.state.is_final
    if head.note:
        head.note.encode()
    finished_us = write.at_us if is_final else None
    given_up = head.release or is_final
    return (
        write.key,
        write.epoch,
        head.state,
        head.detail,
        head.wake_us,
        head.note,
        write.at_us,
        finished_us,
        given_up,
    )


def _run_values(key: int, namespace: int, write: CreateRun) -> Values:
    """The parameters of ``insert_run``; raises `InvariantError` for a run without events."""
    require_creatable(write)
    first_us, last_us = first_and_last_us(write.events)
    return (
        key,
        namespace,
        write.id,
        write.workflow,
        write.version,
        write.state,
        write.detail,
        0 if write.owner is None else 1,
        write.owner,
        first_us,
        last_us,
        last_us if write.state.is_final else None,
        write.parent,
        write.wake_us,
        write.queue,
        write.priority,
        write.share,
        requires_text(write.requires),
        write.singleton,
        len(write.events),
    )
