"""What a batch of writes comes to in statements.

Most writes go together: all plain creations of a batch in one statement, all appends in another, one row per run. That
equals the order of the writes, because a key is known only after the commit that made it. What looks at the state of a
run by its id (posts, schedules, singletons) is carried out by itself, between what came before and what comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aeterna.durable.stores.contract import Append, CreateRun, Events, FireSchedule, Head, Sealed, Write
from aeterna.durable.stores.creations import body_of, first_and_last_us, require_creatable, require_events
from aeterna.durable.stores.postgres.rows import maybe_to_db, requires_to_db, to_db

Values = tuple[Any, ...]
RunEpoch = tuple[int, int]

_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class Extension:
    """What is appended to one run by a batch: several appends that follow each other are one."""

    write: Append
    events: Events
    head: Head | None
    at_us: int
    is_released: bool
    consumed: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    values: Values = ()

    def as_write(self) -> Append:
        """All of it as one append."""
        write = self.write
        return Append(write.key, write.epoch, write.first, self.events, self.at_us, self.head, tuple(self.consumed))

    def fix(self) -> None:
        """Nothing is added any more: ``values`` are the parameters 2 to 13 of ``append``."""
        head = self.head
        self.values = (
            self.write.key,
            self.write.epoch,
            self.write.first,
            len(self.events),
            body_of(self.events) if len(self.events) else None,
            None if head is None else str(head.state),
            None if head is None else str(head.detail),
            None if head is None else head.wake_us,
            None if head is None else to_db(_encodable(head.note)),
            self.at_us,
            head is not None and head.state.is_final,
            self.is_released,
        )


@dataclass(slots=True)
class Group:
    """Creations and appends that go together, with their places in the batch."""

    creations: list[tuple[int, CreateRun, Values]] = field(default_factory=list)
    extensions: dict[RunEpoch, Extension] = field(default_factory=dict)


@dataclass(slots=True)
class Alone:
    """A write that is carried out by itself."""

    place: int
    write: Write


class Plan:
    """The parts of a batch, in order. ``is_certain``: False if an append is known not to fit, or a run is named under
    two epochs, and the batch is to be carried out write by write, to find out which and why.

    Raises `UnicodeEncodeError` for text that UTF-8 cannot hold and `InvariantError` for a run without events."""

    __slots__ = ("_epochs", "is_certain", "parts", "writes")

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = writes
        self.parts: list[Group | Alone] = []
        self.is_certain = True
        self._epochs: dict[int, int] = {}
        for place, write in enumerate(writes):
            match write:
                case Append() if not write.is_repeat:
                    self._add_append(place, write)
                case CreateRun() if write.singleton is None:
                    self._group().creations.append((place, write, creation_values(write)))
                case _:
                    # Text that cannot be written is refused before anything is done.
                    _encoder.encode(write)
                    created = write.run if isinstance(write, FireSchedule) else write
                    if isinstance(created, CreateRun):
                        require_events(created)
                    self.parts.append(Alone(place, write))
        for part in self.parts:
            if isinstance(part, Group):
                for extension in part.extensions.values():
                    extension.fix()

    def _group(self) -> Group:
        if not self.parts or isinstance(self.parts[-1], Alone):
            self.parts.append(Group())
        group = self.parts[-1]
        assert isinstance(group, Group)
        return group

    def _add_append(self, place: int, write: Append) -> None:
        group = self._group()
        key = (write.key, write.epoch)
        if self._epochs.setdefault(write.key, write.epoch) != write.epoch:
            self.is_certain = False
        extension = group.extensions.get(key)
        if extension is not None and not self._extend(extension, write):
            group = Group()
            self.parts.append(group)
            extension = None
        if extension is None:
            releases = write.head is not None and (write.head.release or write.head.state.is_final)
            group.extensions[key] = extension = Extension(write, write.events, write.head, write.at_us, releases)
        extension.consumed.extend(write.consumed)
        extension.places.append(place)

    def _extend(self, extension: Extension, write: Append) -> bool:
        """Put an append behind another of the same run; False if they have to be two."""
        if write.first != extension.write.first + len(extension.events):
            self.is_certain = False
        if not len(extension.events):
            events = write.events
        elif not len(write.events):
            events = extension.events
        elif isinstance(extension.events, Sealed) or isinstance(write.events, Sealed):
            return False
        else:
            events = extension.events + write.events
        if write.head is not None:
            if extension.head is not None and extension.is_released:
                # What a release does depends on what the run looks like then.
                return False
            extension.head, extension.at_us = write.head, write.at_us
            extension.is_released = write.head.release or write.head.state.is_final
        extension.events = events
        return True


def _encodable(text: str) -> str:
    text.encode()
    return text


def creation_values(write: CreateRun) -> Values:
    """The parameters 3 to 21 of ``create_runs``; raises as `Plan`."""
    require_creatable(write)
    first_us, last_us = first_and_last_us(write.events)
    return (
        to_db(write.id),
        to_db(write.workflow),
        to_db(write.version),
        str(write.state),
        str(write.detail),
        0 if write.owner is None else 1,
        write.owner,
        first_us,
        last_us,
        last_us if write.state.is_final else None,
        write.wake_us,
        maybe_to_db(write.parent),
        to_db(write.queue),
        write.priority,
        to_db(write.share),
        requires_to_db(write.requires),
        maybe_to_db(write.singleton),
        len(write.events),
        body_of(write.events),
    )
