"""Where an app keeps its runs, and how safely: what was given, what the environment says, and what contradicts
what. A server is such a place, too."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from aeterna.durable.engine.durability import Durability, Level
from aeterna.kernel.errors import ConfigurationError
from aeterna.kernel.ids import NAMESPACE_RULE, is_namespace

STORE_VARIABLE = "AETERNA_STORE"
SERVER_VARIABLE = "AETERNA_SERVER"
TOKEN_VARIABLE = "AETERNA_TOKEN"  # noqa: S105 - the name of a variable, not a token
TLS_VARIABLE = "AETERNA_TLS"
DEFAULT_PORT = 7233
POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class Server:
    """A server and what opens it.

    ``address``: ``host:port`` (7233 without a port), or several, separated by commas: any of them serves. The URL of a
    server's HTTP API, as commands take it, names the server too: the gRPC port is the one before it. ``token``: what
    the server's operator gave out. ``ca``: a file with the certificates to trust; with it, with ``tls``, or with
    ``https://``, the connection is encrypted. ``certificate`` and ``key``: files by which the server knows this client.
    """

    address: str
    token: str | None = None
    tls: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each with its port; raises `ConfigurationError` for what is none."""
        return tuple(_with_port(part.strip(), self.address) for part in self.address.split(","))

    @property
    def is_encrypted(self) -> bool:
        """The connection uses TLS."""
        is_asked_for = self.tls or self.ca is not None or self.certificate is not None
        return is_asked_for or any(part.strip().startswith("https://") for part in self.address.split(","))


@dataclass(frozen=True, slots=True)
class Settings:
    """What the app was given."""

    name: str
    store: str | None
    persistence: str | Durability | None
    retention_us: int | None
    server: Server | None = None


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store's URL in full, and its file (None for one that is no file). ``server``: it is there, and not here."""

    url: str
    path: Path | None
    server: Server | None = None

    @property
    def is_durable(self) -> bool:
        """It outlives the process."""
        return self.url != "memory:"


def server_of(given: str | Server | None, token: str | None) -> Server | None:
    """The server as given, with the token and the files for TLS of the environment where none are; raises
    `ConfigurationError`."""
    if given is None:
        if token is not None:
            raise ConfigurationError("token= opens a server: give server= too")
        return None
    server = Server(given) if isinstance(given, str) else given
    token = token or server.token or os.environ.get(TOKEN_VARIABLE) or None
    server = replace(
        server,
        token=token,
        ca=server.ca or os.environ.get(f"{TLS_VARIABLE}_CA") or None,
        certificate=server.certificate or os.environ.get(f"{TLS_VARIABLE}_CERT") or None,
        key=server.key or os.environ.get(f"{TLS_VARIABLE}_KEY") or None,
    )
    return server if server.addresses else None


def resolve(settings: Settings, *, is_store_given: bool = False) -> tuple[StoreAddress, Durability]:
    """The store and the durability to use; raises `ConfigurationError` if the settings contradict each other.

    ``is_store_given``: the app brings a store object, which has no address and goes with any durability.
    """
    if not is_namespace(settings.name):
        raise ConfigurationError(f"app name {settings.name!r} cannot be a namespace: {NAMESPACE_RULE}")
    durability = _durability(settings.persistence)
    if is_store_given:
        return StoreAddress("", None), durability or Durability()
    server = settings.server or _server_of_environment(settings)
    if server is not None:
        return _at_server(server, settings, durability)
    url, origin = _url(settings)
    if url is None:
        in_memory = durability is not None and durability.level is Level.MEMORY
        url, origin = ("memory:" if in_memory else f"sqlite:///.aeterna/{settings.name}.db"), "the default"
    address = parse_store(url, origin)
    if durability is None:
        return address, Durability(Level.LOG if address.is_durable else Level.MEMORY)
    if address.is_durable == (durability.level is Level.MEMORY):
        raise ConfigurationError(
            f"store {url!r} (from {origin}) and persistence {durability.level.value!r} contradict each other: "
            "'memory' goes with store 'memory:', 'snapshot' and 'state-action-log' with sqlite:/// or postgresql://"
        )
    return address, durability


def parse_store(url: str, origin: str) -> StoreAddress:
    """``sqlite:///PATH`` (relative), ``sqlite:////PATH`` (absolute), ``postgresql://...`` or ``memory:``; anything else
    is a `ConfigurationError`."""
    if url in ("memory:", "memory://"):
        return StoreAddress("memory:", None)
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return StoreAddress(url, Path(url.removeprefix("sqlite:///")).expanduser())
    if url.startswith(POSTGRES):
        return StoreAddress(url, None)
    raise ConfigurationError(
        f"store {url!r} (from {origin}) is no store: use sqlite:///PATH, postgresql://HOST/DATABASE or memory:"
    )


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


def _server_of_environment(settings: Settings) -> Server | None:
    """That of ``AETERNA_SERVER``, which a store that was given outdoes."""
    if settings.store is not None:
        return None
    given = os.environ.get(SERVER_VARIABLE) or None
    return server_of(given, None)


def _at_server(server: Server, settings: Settings, durability: Durability | None) -> tuple[StoreAddress, Durability]:
    if settings.store is not None:
        raise ConfigurationError(
            f"server {server.address!r} and store {settings.store!r} contradict each other: the server keeps the runs"
        )
    if durability is not None and durability.level is Level.MEMORY:
        raise ConfigurationError(
            "persistence 'memory' and a server contradict each other: the server decides what it keeps"
        )
    return StoreAddress(server.address, None, server), durability or Durability()


def _with_port(part: str, whole: str) -> str:
    place = part.removeprefix("http://").removeprefix("https://").removesuffix("/")
    host, separator, given = place.rpartition(":")
    if not separator or place.endswith("]"):
        host, given = place, str(DEFAULT_PORT)
    if not host or not given.isdecimal() or not 0 < int(given) < 65536 or "/" in host:
        raise ConfigurationError(
            f"server {whole!r} is no address: use HOST:PORT, or the URL of its HTTP API, or several separated by commas"
        )
    # The port of a URL is that of the HTTP API, the one after gRPC's; but many write http://HOST:7233.
    port = int(given) - (place != part and int(given) != DEFAULT_PORT)
    return f"{host}:{port}"
