"""One thread that does what may take long, one thing after the other: dumps, and the application's hooks.

So whoever listens to the supervisor always listens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], None]


class InOrder:
    """The thread exists from the first job on. Jobs raise nothing."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, job: Job) -> None:
        """Do it when everything before it is done. One thread puts."""
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="aeterna-handover-work", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread when everything is done that was put so far."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
