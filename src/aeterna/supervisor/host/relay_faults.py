"""What can go wrong between the supervisor and a process that speaks SRP."""

from __future__ import annotations

from enum import StrEnum

from aeterna.kernel.errors import AeternaError


class RelayFault(StrEnum):
    """What went wrong between the supervisor and a process."""

    NO_PEER = "no peer"
    """No process of the generation speaks SRP, or none has state."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """The process answered NACK: it cannot dump or load."""
    BUSY = "busy"
    GARBAGE = "garbage"
    GONE = "gone"
    TOO_BIG = "too big"
    UNSEALED = "unsealed"
    FORGED = "forged"


class RelayError(AeternaError):
    """A process did not do its part in a handover. ``fault`` classes it."""

    def __init__(self, fault: RelayFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
