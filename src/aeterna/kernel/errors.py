"""Every error Aeterna raises, classed by who must react.

::

    AeternaError
    ├── UsageError                     the caller's fault: change the call
    │   ├── ConfigurationError
    │   ├── UnknownWorkflowError
    │   ├── DuplicateNameError
    │   ├── SerializationError
    │   ├── PayloadTooLargeError
    │   ├── WorkflowIdConflictError
    │   ├── RunNotFoundError
    │   ├── NamespaceNotFoundError
    │   ├── QueueNotFoundError
    │   ├── ScheduleNotFoundError
    │   ├── InvalidStateError
    │   ├── LimitExceededError
    │   ├── UnauthenticatedError       the token is missing or wrong
    │   ├── PermissionDeniedError      the token's role or namespace is not enough
    │   └── NotDurableError
    ├── StoreError                     the machine's or the operator's turn: nothing recorded is lost
    │   ├── StoreLockedError
    │   ├── StoreFullError
    │   ├── StoreReadOnlyError
    │   ├── StoreCorruptError
    │   └── StoreTooNewError
    ├── RunError                       the outcome of user code, recorded in a history
    │   ├── WorkflowFailedError
    │   ├── WorkflowCancelledError
    │   ├── QueryFailedError
    │   ├── StepFailed
    │   ├── StepTimeoutError
    │   └── PermanentError             raised by user code: do not retry
    ├── UnavailableError               the server cannot be reached, or is stopping: try again, or elsewhere
    ├── NonDeterminismError            history and code disagree: deploy other code, nothing is damaged
    └── InvariantError                 a bug in Aeterna itself
        └── IllegalTransitionError

    ControlFlow (BaseException)        must not be swallowed by ``except Exception`` in user code
    └── Evicted
"""

from __future__ import annotations


class AeternaError(Exception):
    """Something went wrong in Aeterna."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").strip().splitlines()[0]


class UsageError(AeternaError):
    """The call cannot be carried out as it was written."""


class ConfigurationError(UsageError):
    """The configuration contradicts itself or names something that does not exist."""


class UnknownWorkflowError(UsageError):
    """No workflow of that name is registered."""


class DuplicateNameError(UsageError):
    """Two definitions claim the same name."""


class SerializationError(UsageError):
    """A value cannot be recorded, or a recorded one does not fit the type it is read as."""


class PayloadTooLargeError(SerializationError):
    """A value is larger than the limit for one payload."""


class WorkflowIdConflictError(UsageError):
    """The workflow id belongs to a run of another workflow."""


class RunNotFoundError(UsageError):
    """No run has that id."""


class NamespaceNotFoundError(UsageError):
    """The server has no namespace of that name."""


class QueueNotFoundError(UsageError):
    """No queue has that name: it was never put, and no unfinished run is in it."""


class ScheduleNotFoundError(UsageError):
    """No schedule has that id."""


class InvalidStateError(UsageError):
    """The run's state does not allow this operation."""


class LimitExceededError(UsageError):
    """Something is larger, longer or more than the limit that the message names."""


class UnauthenticatedError(UsageError):
    """The server wants a token, and there is none or it is wrong."""


class PermissionDeniedError(UsageError):
    """The token is good, but not for this: its role or its namespace does not allow it."""


class NotDurableError(UsageError):
    """Workflow code used something that would not survive a restart or differ on replay."""


class StoreError(AeternaError):
    """The store cannot do its work. What it had acknowledged is safe."""


class SessionOverError(StoreError):
    """The session in which a worker wrote has ended: what it held goes on elsewhere. The store itself is well."""


class StoreLockedError(StoreError):
    """Another process has this store open."""


class StoreFullError(StoreError):
    """The disk (or the quota) of the store is full."""


class StoreReadOnlyError(StoreError):
    """The store's file or directory cannot be written."""


class StoreCorruptError(StoreError):
    """The store's file is damaged or is not a store at all."""


class StoreTooNewError(StoreError):
    """The store was written by a newer version of Aeterna."""


class RunError(AeternaError):
    """The recorded outcome of user code."""


class WorkflowFailedError(RunError):
    """The workflow raised an error.

    Attributes: ``run_id``; ``error_type`` (qualified name of the exception's class), ``error_message`` and
    ``error_traceback`` as recorded.
    """

    def __init__(self, run_id: str, error_type: str, error_message: str, error_traceback: str = "") -> None:
        super().__init__(f"workflow run {run_id!r} failed: {error_type}: {error_message}")
        self.run_id = run_id
        self.error_type = error_type
        self.error_message = error_message
        self.error_traceback = error_traceback


class WorkflowCancelledError(RunError):
    """The run was cancelled before it completed."""


class QueryFailedError(RunError):
    """The function that was to answer the query raised an error."""


class StepFailed(RunError):  # noqa: N818 - named as a fact of the history, like the event it mirrors
    """A step failed with an error that cannot be rebuilt in this process.

    Attributes: ``step`` (its name); ``error_type``, ``error_message`` and ``error_traceback`` as recorded.
    """

    def __init__(self, step: str, error_type: str, error_message: str, error_traceback: str = "") -> None:
        super().__init__(f"step {step!r} failed: {error_type}: {error_message}")
        self.step = step
        self.error_type = error_type
        self.error_message = error_message
        self.error_traceback = error_traceback


class StepTimeoutError(RunError):
    """A step ran longer than its timeout."""


class PermanentError(RunError):
    """Raised by a step to say that trying again is useless: no retry policy applies."""


class UnavailableError(AeternaError):
    """The server cannot be reached, or is about to stop. What it had acknowledged is safe."""


class NonDeterminismError(AeternaError):
    """The workflow's code does not do what its recorded history says it did.

    Attributes: ``run_id``; ``recorded`` (what the history says comes next); ``attempted`` (what the code waits for
    instead). The history is untouched and the run stays RUNNING with detail ``stuck`` until code that fits it runs.
    """

    def __init__(self, run_id: str, recorded: str, attempted: str, hint: str = "") -> None:
        lines = [
            f"run {run_id!r}: the code does not follow its recorded history",
            f"  recorded : {recorded}",
            f"  attempted: {attempted}",
        ]
        super().__init__("\n".join([*lines, *([hint] if hint else [])]))
        self.run_id = run_id
        self.recorded = recorded
        self.attempted = attempted


class InvariantError(AeternaError):
    """A rule Aeterna relies on was broken: a bug in Aeterna, please report it."""


class IllegalTransitionError(InvariantError):
    """An event arrived in a state that has no transition for it."""


class ControlFlow(BaseException):
    """How the engine leaves user code. Derives from ``BaseException`` so that ``except Exception`` lets it pass."""


class Evicted(ControlFlow):
    """The run leaves this process's memory; it goes on from its history later, here or elsewhere."""
