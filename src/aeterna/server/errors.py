"""What an error is called on the wires: its gRPC status code and its HTTP status, in one table.

A class that the table does not name has the codes of the nearest class that it derives from."""

from __future__ import annotations

from typing import NamedTuple

import grpc

from aeterna.kernel import errors

_S = grpc.StatusCode


class Codes(NamedTuple):
    """How an error is told."""

    grpc: grpc.StatusCode
    http: int


INTERNAL = Codes(_S.INTERNAL, 500)

CODES: dict[str, Codes] = {
    "UsageError": Codes(_S.INVALID_ARGUMENT, 400),
    "RunNotFoundError": Codes(_S.NOT_FOUND, 404),
    "NamespaceNotFoundError": Codes(_S.NOT_FOUND, 404),
    "QueueNotFoundError": Codes(_S.NOT_FOUND, 404),
    "ScheduleNotFoundError": Codes(_S.NOT_FOUND, 404),
    "WorkflowIdConflictError": Codes(_S.ALREADY_EXISTS, 409),
    "InvalidStateError": Codes(_S.FAILED_PRECONDITION, 409),
    "UnknownWorkflowError": Codes(_S.FAILED_PRECONDITION, 409),
    "PayloadTooLargeError": Codes(_S.RESOURCE_EXHAUSTED, 413),
    "LimitExceededError": Codes(_S.RESOURCE_EXHAUSTED, 429),
    "UnauthenticatedError": Codes(_S.UNAUTHENTICATED, 401),
    "PermissionDeniedError": Codes(_S.PERMISSION_DENIED, 403),
    "NonDeterminismError": Codes(_S.FAILED_PRECONDITION, 409),
    "RunError": Codes(_S.FAILED_PRECONDITION, 409),
    "StoreError": Codes(_S.UNAVAILABLE, 503),
    "StoreCorruptError": Codes(_S.DATA_LOSS, 500),
    "UnavailableError": Codes(_S.UNAVAILABLE, 503),
    "TimeoutError": Codes(_S.DEADLINE_EXCEEDED, 408),
    "InvariantError": INTERNAL,
}
"""By the names of classes."""


def codes_of(error: BaseException) -> Codes:
    """How this error is told."""
    return next((CODES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in CODES), INTERNAL)


def name_of(error: BaseException) -> str:
    """The class of the error as clients know it: the nearest one of `aeterna.kernel.errors`."""
    return next((kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__)), type(error).__name__)


def text_of(error: BaseException) -> str:
    """The error for people."""
    return str(error) or ("the time is over" if isinstance(error, TimeoutError) else name_of(error))
