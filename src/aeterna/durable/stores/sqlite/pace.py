"""Where commits should run, decided from how long they take."""

from __future__ import annotations

_LEAVE_LOOP_US = 5_000.0
_RETURN_US = 2_000.0
_WEIGHT = 1 / 8


class CommitPace:
    """Says whether commits belong on the event loop or on a helper thread.

    A commit on the loop costs no hand-over and wins while the disk is fast; above 5 ms on average it would keep
    everything else waiting, so commits leave for a thread and come back below 2 ms. The average moves by an eighth
    per commit, so that one slow commit (a checkpoint, a busy disk) decides nothing, and the gap keeps a disk in
    between from switching to and fro."""

    def __init__(self) -> None:
        self.average_us = 0.0
        self.off_loop = False

    def record(self, duration_us: int) -> None:
        """Take note of one commit's duration."""
        self.average_us += (duration_us - self.average_us) * _WEIGHT
        if self.off_loop:
            self.off_loop = self.average_us >= _RETURN_US
        else:
            self.off_loop = self.average_us > _LEAVE_LOOP_US
