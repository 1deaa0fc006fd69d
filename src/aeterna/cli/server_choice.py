"""Which server a command is about: ``--server``, else ``AETERNA_SERVER``, which names it for programs, too."""

from __future__ import annotations

import argparse
import os
from typing import NamedTuple

from aeterna.kernel.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.cli.server_client import ServerClient

SERVER_VARIABLE = "AETERNA_SERVER"
TOKEN_VARIABLE = "AETERNA_TOKEN"  # noqa: S105 - the name of a variable, not a token
CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE = "AETERNA_TLS_CA", "AETERNA_TLS_CERT", "AETERNA_TLS_KEY"
GRPC_PORT = 7233
HTTP_PORT = 7234


class Address(NamedTuple):
    """One place where the HTTP API listens."""

    host: str
    port: int
    is_encrypted: bool

    @property
    def text(self) -> str:
        """As people write it."""
        scheme = "https" if self.is_encrypted else "http"
        return f"{scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ServerChoice(NamedTuple):
    """A server: its addresses, any of which serves, and what opens it."""

    addresses: tuple[Address, ...]
    token: str | None
    namespace: str | None
    ca: str | None
    certificate: str | None
    key: str | None

    def connect(self, connect_s: float = 5.0) -> ServerClient:
        """A client of it, as a context manager; ``connect_s``: how long a connection may take to be made."""
        from aeterna.cli.server_client import ServerClient

        return ServerClient(self, connect_s)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """``--server`` and what goes with it."""
    options = (
        (
            "--server",
            "ADDRESS",
            f"a server: HOST:PORT as for App, or the URL of its HTTP API (${SERVER_VARIABLE})",
        ),
        ("--token", "TOKEN", f"what opens the server (default: ${TOKEN_VARIABLE}, which others cannot see)"),
        ("--tls-ca", "FILE", f"the server's authority, PEM; encrypts (${CA_VARIABLE})"),
    )
    for name, metavar, text in options:
        parser.add_argument(name, metavar=metavar, help=text)


def chosen_server(args: argparse.Namespace) -> ServerChoice | None:
    """The server that is meant; None for a command about a store. Raises `ConfigurationError` for what is no address,
    or if a store is named, too."""
    store = getattr(args, "store", None)
    if args.server is not None and store is not None:
        raise ConfigurationError("--server and --store contradict each other: give one of them")
    given = args.server or ("" if store is not None else os.environ.get(SERVER_VARIABLE, ""))
    if not given:
        return None
    ca = args.tls_ca or os.environ.get(CA_VARIABLE) or None
    certificate = os.environ.get(CERTIFICATE_VARIABLE) or None
    addresses = tuple(_address(part.strip(), is_encrypted=bool(ca or certificate)) for part in given.split(","))
    token = args.token or os.environ.get(TOKEN_VARIABLE) or None
    key = os.environ.get(KEY_VARIABLE) or None
    return ServerChoice(addresses, token, getattr(args, "app", None), ca, certificate, key)


def required_server(args: argparse.Namespace) -> ServerChoice:
    """As `chosen_server`, for a command that needs one."""
    server = chosen_server(args)
    if server is None:
        raise ConfigurationError(f"this needs a running server: name it with --server or {SERVER_VARIABLE}")
    return server


def _address(text: str, *, is_encrypted: bool) -> Address:
    scheme, separator, rest = text.partition("://")
    if separator and scheme not in ("http", "https"):
        raise _wrong(text)
    host, port = _split((rest if separator else text).removesuffix("/"), text)
    if separator:
        # Many write http://HOST:7233, which is the port of gRPC.
        http_port = HTTP_PORT if port in (None, GRPC_PORT) else port
        return Address(host, http_port, scheme == "https")
    # The address of the gRPC port; the HTTP API listens at the one after it.
    return Address(host, (port or GRPC_PORT) + 1, is_encrypted)


def _split(place: str, whole: str) -> tuple[str, int | None]:
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, ""
    elif not port.isdecimal() or not 0 < int(port) < 65_536:
        raise _wrong(whole)
    host = host.removeprefix("[").removesuffix("]")
    if not host or any(letter in "/?#@ " for letter in host):
        raise _wrong(whole)
    return host, int(port) if port else None


def _wrong(text: str) -> ConfigurationError:
    return ConfigurationError(
        f"server {text!r} is no address: use HOST:PORT as in App(server=...), or http://HOST:PORT or "
        "https://HOST:PORT of its HTTP API"
    )
