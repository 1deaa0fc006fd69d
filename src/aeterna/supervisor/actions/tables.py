"""The shape of what performs actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from aeterna.kernel.errors import AeternaError
from aeterna.supervisor.core.vocabulary import Action

Do = Callable[[int], None]
Ask = Callable[[int], Awaitable[None]]


class Actions(Protocol):
    """Some actions of one service."""

    @property
    def does(self) -> Mapping[Action, Do]:
        """Done at once."""
        ...

    @property
    def asks(self) -> Mapping[Action, Ask]:
        """Waited for; raises `FailedError`, or another `AeternaError`, whose message is the reason."""
        ...


class FailedError(AeternaError):
    """An action did not succeed; the message is the reason."""
