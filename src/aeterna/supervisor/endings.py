"""How a process of a service ended: for people, in the record too, so that a new daemon knows it; and for the core."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from aeterna.supervisor.core.restart import Death
from aeterna.supervisor.host.logs import LogLine, LogStream
from aeterna.supervisor.instances import Instance

LAST_WORDS = 10
"""Lines of its output that are kept."""


class Ending(Struct, frozen=True, kw_only=True):
    """``how``: ``exit code 3``, ``killed by SIGSEGV``, ``out of memory: …``; ``last_words``: its last lines."""

    how: str
    at_us: int
    generation: int
    pid: int
    last_words: list[str]


def ending_of(instance: Instance, lines: Sequence[LogLine], now_us: int) -> Ending:
    """What is kept of an end; ``lines``: what its generation wrote, and what was said about it."""
    words = [line.text for line in lines if line.stream is not LogStream.SUPERVISOR]
    return Ending(
        how=instance.how_it_ended(),
        at_us=now_us,
        generation=instance.generation,
        pid=instance.pid,
        last_words=words[-LAST_WORDS:],
    )


def death_of(instance: Instance, now_us: int) -> Death:
    """What the restart policy judges."""
    found = instance.exit
    return Death(
        code=found.code if found else 127,
        os_signal=found.os_signal if found else None,
        lifetime_ms=(now_us - instance.started_us) // 1000 if instance.started_us else 0,
        was_ready=instance.ready.is_set(),
        how=instance.how_it_ended(),
    )
