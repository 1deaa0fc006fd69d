"""What the exit codes mean: one table for the program, its help and the tests."""

from __future__ import annotations

from aeterna.kernel import errors

OK = 0
FAILED = 1
USAGE = 2
STORE = 3
NOT_FOUND = 4
INTERRUPTED = 130
PIPE_CLOSED = 141

MEANINGS = {
    OK: "done",
    FAILED: "the run failed or was cancelled, or what was asked for did not succeed",
    USAGE: "the command line or a setting is wrong",
    STORE: "the store cannot be found, opened, read or written, or is damaged",
    NOT_FOUND: "there is no such run, workflow or module",
    INTERRUPTED: "stopped by Ctrl-C",
    PIPE_CLOSED: "the reader of the output went away",
}


def code_of(error: errors.AeternaError) -> int:
    """The exit code for an error."""
    match error:
        case errors.RunNotFoundError() | errors.UnknownWorkflowError():
            return NOT_FOUND
        case errors.InvalidStateError():
            return FAILED
        case errors.UsageError():
            return USAGE
        case errors.StoreError():
            return STORE
        case _:
            return FAILED
