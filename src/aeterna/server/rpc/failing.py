"""How errors end a gRPC call: the status code that `server.errors` gives them, their text as the details, and the name
of their class in the trailing metadata, so that a client of this package raises the same class again."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from aeterna.durable.wire.services import ERROR_KEY
from aeterna.kernel.errors import AeternaError
from aeterna.server.errors import codes_of, name_of, text_of


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: AeternaError | TimeoutError) -> NoReturn:
    """End the call with the error."""
    await context.abort(codes_of(error).grpc, text_of(error), ((ERROR_KEY, name_of(error)),))
