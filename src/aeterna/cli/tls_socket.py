"""An encrypted connection to a server. On its own, because loading ssl takes a while and most commands need none."""

from __future__ import annotations

import socket
import ssl

from aeterna.cli.server_choice import Address, ServerChoice
from aeterna.kernel.errors import ConfigurationError


def open_encrypted(address: Address, choice: ServerChoice, timeout_s: float) -> ssl.SSLSocket:
    """A connection whose other end has proved who it is. Raises `OSError`, and `ConfigurationError` for files that
    cannot be used."""
    try:
        context = ssl.create_default_context(cafile=choice.ca)
        if choice.certificate is not None:
            context.load_cert_chain(choice.certificate, choice.key)
    except OSError as error:
        files = ", ".join(filter(None, (choice.ca, choice.certificate, choice.key)))
        raise ConfigurationError(f"the TLS files cannot be used ({files}): {error}") from error
    plain = socket.create_connection((address.host, address.port), timeout_s)
    try:
        return context.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise
