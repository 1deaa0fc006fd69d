"""How errors become gRPC statuses: the code by the error's class, its text as the details, and the class's name in the
trailing metadata, so that a client of this package raises the same class again."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from aeterna.durable.wire.services import ERROR_KEY
from aeterna.kernel import errors
from aeterna.kernel.errors import AeternaError

_CODES: dict[str, grpc.StatusCode] = {
    "RunNotFoundError": grpc.StatusCode.NOT_FOUND,
    "WorkflowIdConflictError": grpc.StatusCode.ALREADY_EXISTS,
    "InvalidStateError": grpc.StatusCode.FAILED_PRECONDITION,
    "UnknownWorkflowError": grpc.StatusCode.FAILED_PRECONDITION,
    "NonDeterminismError": grpc.StatusCode.FAILED_PRECONDITION,
    "UnauthenticatedError": grpc.StatusCode.UNAUTHENTICATED,
    "PermissionDeniedError": grpc.StatusCode.PERMISSION_DENIED,
    "LimitExceededError": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "PayloadTooLargeError": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "UsageError": grpc.StatusCode.INVALID_ARGUMENT,
    "StoreCorruptError": grpc.StatusCode.DATA_LOSS,
    "StoreError": grpc.StatusCode.UNAVAILABLE,
    "UnavailableError": grpc.StatusCode.UNAVAILABLE,
    "RunError": grpc.StatusCode.FAILED_PRECONDITION,
}
"""By the names of classes; one that is not here has the code of the nearest class that it derives from."""


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status code of an error."""
    if isinstance(error, TimeoutError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    found = (_CODES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _CODES)
    return next(found, grpc.StatusCode.INTERNAL)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: AeternaError | TimeoutError) -> NoReturn:
    """End the call with the error."""
    kind = next((cls.__name__ for cls in type(error).__mro__ if hasattr(errors, cls.__name__)), type(error).__name__)
    await context.abort(code_of(error), str(error) or "the time is over", ((ERROR_KEY, kind),))
