"""What is wrong with a configuration, in one shape: where, which key, the value, what is wrong, what would be right.

Knows nothing of files and schemas. Mistakes are gathered before they are reported, so that one look at the message
mends them all.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from aeterna.kernel.errors import ConfigurationError

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys of mappings and numbers of lists, from the top."""

MASK = "********"
_SECRET = re.compile(r"(?i)(passw|secret|token|credential|private|api_?key|access_?key|(^|_)(key|pass|pwd|auth)$)")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:\s]*):([^/@\s]+)@")
_SHOWN_MAX = 80


class UnfitError(ValueError):
    """A value that cannot be used: ``wrong`` says why, ``right`` what would do. It becomes a mistake with its place."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong = wrong
        self.right = right


class Place(NamedTuple):
    """Where something was written: a file and its line, or an environment variable or option (line 0)."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


class Mistake(NamedTuple):
    """One mistake. ``key`` is empty where the file as a whole is meant; ``value`` None where there is none."""

    place: Place
    key: str
    value: str | None
    wrong: str
    right: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f" = {shortened(masked(self.key, self.value))!r}"
        first = f"{self.place}: {self.key}{shown}" if self.key else str(self.place)
        return f"{first}\n  wrong: {self.wrong}\n  right: {self.right}"


class MistakesError(ConfigurationError):
    """The configuration cannot be used. ``mistakes``: every one that was found, in the order of the file."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.place.line == 0, mistake.place)))
        super().__init__("\n".join(map(str, self.mistakes)))


def key_path(path: KeyPath) -> str:
    """The path as people write it: ``orchestration.pre_flight[0].timeout``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def is_secret(name: str) -> bool:
    """Whether a key or variable of that name holds what must not be shown."""
    return _SECRET.search(name) is not None


def masked(key: str, value: str) -> str:
    """The value, or stars if its name says that it is a secret; a password in a URL is masked in any."""
    return MASK if is_secret(key.rpartition(".")[2]) else without_passwords(value)


def without_passwords(text: str) -> str:
    """The text with the passwords of its URLs masked."""
    return _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", text)


def shortened(text: str) -> str:
    """The text, cut where it is too long for a line."""
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."
