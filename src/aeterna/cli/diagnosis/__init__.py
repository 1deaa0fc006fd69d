"""What ``aeterna doctor`` looks at: the machine, what it offers to a supervisor, the place of the store,
and the store."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One line of the diagnosis: what was looked at, what was found, and what to do (empty if nothing)."""

    verdict: Verdict
    what: str
    found: str
    advice: str = ""
