"""Limits on what one run may record, each with a default that a machine of any size survives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds; crossing one is an error that names the limit, never a silent cut.

    payload_bytes_max: size of one encoded argument list or result.
    resident_runs_max: runs kept in memory; beyond it, the longest sleeps are evicted and replayed when they wake.
        Runs that wait for a child stay.
    running_runs_max: runs that execute at the same time; further ones stay PENDING.
    step_threads_max: threads for steps that are plain functions.
    inbox_messages_max: signals that wait in the inbox of one run; a further one is refused.
    """

    payload_bytes_max: int = 4 * 1024 * 1024
    resident_runs_max: int = 10_000
    running_runs_max: int = 10_000
    step_threads_max: int = 32
    inbox_messages_max: int = 10_000
