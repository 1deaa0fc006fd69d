"""Standard output for one JSON document, while user code may print what it likes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

_THREAD_NAME = "aeterna-step"
"""How the engine names the threads of plain steps; a test of Ctrl-C would notice another one."""

_STDOUT, _STDERR = 1, 2


@contextmanager
def prints_aside() -> Iterator[None]:
    """While inside, what this process and its children write to standard output goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        # What was written through a reference to the stream itself is still in its buffer.
        sys.stdout.flush()
        os.dup2(kept, _STDOUT)
        os.close(kept)


def close_to_step_threads() -> None:
    """After the document: a step's thread that nobody could stop may print on, and does so to standard error."""
    sys.stdout.flush()
    if step_threads():
        os.dup2(_STDERR, _STDOUT)


def step_threads() -> list[threading.Thread]:
    """The threads that execute plain steps, or wait for one."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(_THREAD_NAME)]
