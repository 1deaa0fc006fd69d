"""What an application wants to hear of a handover. Hooks run one at a time, in a thread of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Hook = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Lists of functions, each called in the order in which it was added."""

    quiesce: list[Hook] = field(default_factory=list)
    """The state must not change from now on: stop what changes it, then return."""
    resume: list[Hook] = field(default_factory=list)
    """This process serves again, with the memory it had."""
    drain: list[Hook] = field(default_factory=list)
    """Clients are being asked to leave."""
    acquired: list[Hook] = field(default_factory=list)
    """This process alone may change state, and runs cron jobs and consumers."""
    revoked: list[Hook] = field(default_factory=list)
    """It may not any more."""

    def run(self, hooks: list[Hook]) -> None:
        """Call all of them; what one raises goes to the caller."""
        for hook in list(hooks):
            hook()
