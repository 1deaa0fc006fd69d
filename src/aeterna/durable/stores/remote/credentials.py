"""What opens a server, and the channel to one of its addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from aeterna.durable.wire.services import CHANNEL_OPTIONS
from aeterna.kernel.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Credentials:
    """``token``: what the server's operator gave out. ``ca``: a file with the certificates to trust (None: the
    system's). ``certificate``, ``key``: files by which the server knows this client."""

    token: str | None = None
    is_encrypted: bool = False
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call carries."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)

    def channel(self, address: str) -> grpc.aio.Channel:
        """A channel, which connects when it is used; raises `ConfigurationError` for files that cannot be read."""
        if not self.is_encrypted:
            return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
        secrets = grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.certificate))
        return grpc.aio.secure_channel(address, secrets, options=CHANNEL_OPTIONS)


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the TLS file {path} cannot be read: {error.strerror}") from error
