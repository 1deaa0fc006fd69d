"""What callers send."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

NAME_CHARS_MAX = 256
ID_CHARS_MAX = 512
TEXT_CHARS_MAX = 10_000
DELAY_US_MAX = 10 * 366 * 86_400 * 1_000_000
INT_MAX = 2**31 - 1


class Body(BaseModel):
    """An unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Start(Body):
    """Start a run."""

    workflow: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    version: str = Field("1", min_length=1, max_length=NAME_CHARS_MAX)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    id: str | None = Field(None, min_length=1, max_length=ID_CHARS_MAX)
    queue: str = Field("", max_length=NAME_CHARS_MAX)
    priority: int = Field(0, ge=-INT_MAX, le=INT_MAX)
    share: str = Field("", max_length=NAME_CHARS_MAX)
    delay_us: int = Field(0, ge=0, le=DELAY_US_MAX)
    singleton: str | None = Field(None, min_length=1, max_length=NAME_CHARS_MAX)
    debounce: bool = False
    requires: list[str] = Field([], max_length=64)


class Signal(Body):
    """Send a signal. ``id``: a second one of the same id is the first one."""

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    payload: Any = None
    id: str = Field("", max_length=NAME_CHARS_MAX)


class Reason(Body):
    """Why."""

    reason: str = Field("", max_length=TEXT_CHARS_MAX)


class Fork(Body):
    """Begin a new run with the events before number ``position``."""

    position: int = Field(ge=1, le=INT_MAX)
    id: str | None = Field(None, min_length=1, max_length=ID_CHARS_MAX)


class Query(Body):
    """Ask the code of a run."""

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    timeout_s: float = Field(10.0, ge=0, le=600)


class Delete(Body):
    """Delete these runs, or those that finished so long ago."""

    ids: list[str] | None = Field(None, max_length=10_000)
    older_than_us: int | None = Field(None, ge=0, le=2**62)
    limit: int = Field(1_000, ge=1, le=10_000)
