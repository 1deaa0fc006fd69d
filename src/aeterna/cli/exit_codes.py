"""What the exit codes mean: one table for the program, its help and the tests."""

from __future__ import annotations

from aeterna.kernel import errors

OK = 0
FAILED = 1
USAGE = 2
STORE = 3
NOT_FOUND = 4
REFUSED = 5
UNAVAILABLE = 6
PREFLIGHT_FAILED = 10
START_FAILED = 11
HANDOFF_FAILED = 12
ROLLED_BACK = 13
CONFLICT = 14
DEGRADED = 15
INTERRUPTED = 130
PIPE_CLOSED = 141

MEANINGS = {
    OK: "done",
    FAILED: "the run failed or was cancelled, or what was asked for did not succeed",
    USAGE: "the command line or a setting is wrong",
    STORE: "the store cannot be found, opened, read or written, or is damaged",
    NOT_FOUND: "there is no such run, workflow, module or service, or no supervisor runs",
    REFUSED: "the server wants a token, or another one: this one does not allow it",
    UNAVAILABLE: "the server cannot be reached, or is about to stop",
    PREFLIGHT_FAILED: "a pre-flight check failed; the old version goes on, untouched",
    START_FAILED: "the new version did not start, or not in time; where there is an old one, it goes on",
    HANDOFF_FAILED: "the state could not be handed over; the old version goes on",
    ROLLED_BACK: "the new version failed while it was watched; the old one serves again, with its memory",
    CONFLICT: "something else is under way, or is running already",
    DEGRADED: "went back, but to a process that had to be started anew",
    INTERRUPTED: "stopped by Ctrl-C",
    PIPE_CLOSED: "the reader of the output went away",
}


class CodedError(errors.UsageError):
    """Something could not be done, and has an exit code of its own, ``exit_code``."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def code_of(error: errors.AeternaError) -> int:
    """The exit code for an error."""
    match error:
        case CodedError():
            return error.exit_code
        case (
            errors.RunNotFoundError()
            | errors.UnknownWorkflowError()
            | errors.NamespaceNotFoundError()
            | errors.QueueNotFoundError()
            | errors.ScheduleNotFoundError()
        ):
            return NOT_FOUND
        case errors.InvalidStateError():
            return FAILED
        case errors.UnauthenticatedError() | errors.PermissionDeniedError():
            return REFUSED
        case errors.UnavailableError():
            return UNAVAILABLE
        case errors.UsageError():
            return USAGE
        case errors.StoreError():
            return STORE
        case _:
            return FAILED
