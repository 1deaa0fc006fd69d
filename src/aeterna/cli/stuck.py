"""A run that the code at hand cannot go on with: said once, with what can be done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aeterna.cli.runs import STUCK_HINT
from aeterna.kernel.errors import AeternaError

_ACTIONS = frozenset({"stuck", "run_unknown"})


@contextmanager
def told_once(run_id: str) -> Iterator[None]:
    """Keep the engine's own message about this run out of the log, where the error that comes of it is printed; it
    gets a hint."""
    log = logging.getLogger("aeterna.engine")
    is_stuck = False

    def keep(record: logging.LogRecord) -> bool:
        nonlocal is_stuck
        ours = getattr(record, "action", "") in _ACTIONS and getattr(record, "run_id", "") == run_id
        is_stuck = is_stuck or ours
        return not ours

    log.addFilter(keep)
    try:
        yield
    except AeternaError as error:
        if is_stuck:
            error.add_note(f"what to do: {STUCK_HINT.format(id=run_id)}")
        raise
    finally:
        log.removeFilter(keep)
