"""Questions that a run answers while it goes on: read-only functions that its code registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.kernel.errors import ConfigurationError, QueryFailedError, UsageError
from aeterna.kernel.suggestions import did_you_mean


class Queries:
    """The query handlers of one run, by name."""

    __slots__ = ("_handlers",)

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[..., Any]] = {}

    def register(self, name: str, handler: Callable[..., Any]) -> None:
        """From now on ``handler`` answers; a later one of the same name replaces it. Raises `ConfigurationError` for an
        async function: who answers a question must not wait."""
        if inspect.iscoroutinefunction(handler):
            raise ConfigurationError(
                f"query {name!r} must be a plain function: it reads what is there and waits for nothing"
            )
        self._handlers[name] = handler

    def answer(self, run_id: str, name: str, arguments: Payload, payload_bytes_max: int) -> Payload:
        """What the handler returns for ``arguments`` (``[args, kwargs]``, encoded).

        Raises `UsageError` if there is no such handler, and `QueryFailedError` for what it raises."""
        handler = self._handlers.get(name)
        if handler is None:
            known = ", ".join(map(repr, sorted(self._handlers))) or "none"
            hint = did_you_mean(name, self._handlers)
            raise UsageError(f"run {run_id!r} answers no query {name!r} (it answers: {known}){hint}")
        args, kwargs = codec.decode(arguments, tuple[list[Any], dict[str, Any]], f"the arguments of query {name!r}")
        try:
            answer = handler(*args, **kwargs)
        except Exception as error:
            raise QueryFailedError(
                f"query {name!r} of run {run_id!r} failed: {type(error).__name__}: {error}"
            ) from error
        return codec.encode(answer, f"the answer to query {name!r}", payload_bytes_max)
