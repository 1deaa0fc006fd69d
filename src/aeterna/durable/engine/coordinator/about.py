"""What a worker says of itself when it opens its session, as far as others act on it."""

from __future__ import annotations

import msgspec

from aeterna.durable.stores.contract import Choice


class About(msgspec.Struct, frozen=True):
    """``role``: "server" for a session that executes nothing. ``room``: how many runs it executes at the same time, 0 =
    it does not say. The others: see `Choice`."""

    role: str = ""
    room: int = 0
    workflows: tuple[tuple[str, str], ...] | None = None
    queues: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()

    @property
    def choice(self) -> Choice:
        """What it can execute."""
        return Choice(self.workflows, self.queues, self.capabilities)


def about_of(text: str) -> About:
    """What `SessionRow.about` says. One that says nothing sensible may execute what it likes."""
    try:
        return msgspec.json.decode(text, type=About)
    except msgspec.MsgspecError:
        return About()
