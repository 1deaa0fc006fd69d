"""gRPC statuses as the errors they were at the server."""

from __future__ import annotations

import grpc

from aeterna.durable.wire.frames import error_named
from aeterna.durable.wire.services import ERROR_KEY
from aeterna.kernel.errors import AeternaError, StoreError, UsageError

AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
"""The server is not there, or about to go: another address, or a later time, may do."""
AWAY_OR_SILENT = AWAY | {grpc.StatusCode.DEADLINE_EXCEEDED}

_USAGE = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


def error_of(failed: grpc.aio.AioRpcError, where: str) -> AeternaError | TimeoutError:
    """The error that a call failed with; ``where`` is the server's address."""
    for key, value in failed.trailing_metadata() or ():
        if key == ERROR_KEY:
            kind = value.decode() if isinstance(value, bytes) else value
            if kind == "TimeoutError":
                return TimeoutError(failed.details())
            return error_named(kind, failed.details() or "")
    code, details = failed.code(), failed.details() or "no reason given"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimeoutError(details)
    if code in _USAGE:
        return UsageError(f"server {where} refuses ({code.name}): {details}")
    return StoreError(f"server {where} cannot be asked ({code.name}): {details}")


def is_final(failed: grpc.aio.AioRpcError) -> bool:
    """Asking again, or elsewhere, would not help."""
    return failed.code() in _USAGE
