"""Where an app keeps its runs, and how safely: what was given, what the environment says, and what contradicts
what."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from aeterna.durable.engine.durability import Durability, Level
from aeterna.kernel.errors import ConfigurationError

STORE_VARIABLE = "AETERNA_STORE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the app was given."""

    name: str
    store: str | None
    persistence: str | Durability | None
    retention_us: int | None


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store's URL in full, and its file (None for ``memory:``)."""

    url: str
    path: Path | None


def resolve(settings: Settings, *, is_store_given: bool = False) -> tuple[StoreAddress, Durability]:
    """The store and the durability to use; raises `ConfigurationError` if the settings contradict each other.

    ``is_store_given``: the app brings a store object, which has no address and goes with any durability.
    """
    if not _NAME.fullmatch(settings.name):
        raise ConfigurationError(
            f"app name {settings.name!r} cannot be a namespace: "
            "use up to 64 letters, digits, '-', '_' and '.', a letter or digit first"
        )
    durability = _durability(settings.persistence)
    if is_store_given:
        return StoreAddress("", None), durability or Durability()
    url, origin = _url(settings)
    if url is None:
        in_memory = durability is not None and durability.level is Level.MEMORY
        url, origin = ("memory:" if in_memory else f"sqlite:///.aeterna/{settings.name}.db"), "the default"
    address = parse_store(url, origin)
    if durability is None:
        return address, Durability(Level.MEMORY if address.path is None else Level.LOG)
    if (address.path is None) != (durability.level is Level.MEMORY):
        raise ConfigurationError(
            f"store {url!r} (from {origin}) and persistence {durability.level.value!r} contradict each other: "
            "'memory' goes with store 'memory:', 'snapshot' and 'state-action-log' with a sqlite:/// store"
        )
    return address, durability


def parse_store(url: str, origin: str) -> StoreAddress:
    """``sqlite:///PATH`` (relative), ``sqlite:////PATH`` (absolute) or ``memory:``; anything else is a
    `ConfigurationError`."""
    if url in ("memory:", "memory://"):
        return StoreAddress("memory:", None)
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return StoreAddress(url, Path(url.removeprefix("sqlite:///")).expanduser())
    raise ConfigurationError(f"store {url!r} (from {origin}) is no store: use sqlite:///PATH or memory:")


def _url(settings: Settings) -> tuple[str | None, str]:
    if settings.store is not None:
        return settings.store, "store="
    return os.environ.get(STORE_VARIABLE) or None, f"the environment's {STORE_VARIABLE}"


def _durability(given: str | Durability | None) -> Durability | None:
    if given is None or isinstance(given, Durability):
        return given
    try:
        return Durability(Level(given))
    except ValueError:
        choices = ", ".join(repr(level.value) for level in Level)
        raise ConfigurationError(f"persistence {given!r} is unknown: use one of {choices}") from None
