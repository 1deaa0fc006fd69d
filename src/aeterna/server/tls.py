"""TLS: the files that a server was given, and what gRPC and HTTP make of them. Renewed files are taken up for new
connections, without a restart."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from aeterna.kernel.errors import ConfigurationError

log = logging.getLogger("aeterna.tls")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the server's certificate (with its chain) and key; ``client_ca``: with it, every client must show a
    certificate that this authority signed."""

    certificate: str
    key: str
    client_ca: str | None = None


def tls_files(certificate: str | None, key: str | None, client_ca: str | None) -> TlsFiles | None:
    """What was given, None if nothing was; raises `ConfigurationError` if a part is missing or cannot be used."""
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise ConfigurationError("TLS needs both --tls-cert and --tls-key; --tls-client-ca comes on top of them")
    files = TlsFiles(certificate, key, client_ca)
    Tls(files)
    return files


class Tls:
    """The files, loaded. Raises `ConfigurationError` if they cannot be used; a renewal that cannot is logged, and what
    was there before stays in use."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = self._stamps()
        self.context = _context(files)
        self._grpc = self._grpc_configuration()

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC port."""
        is_mutual = self._files.client_ca is not None
        return grpc.dynamic_ssl_server_credentials(self._grpc, self._current, require_client_authentication=is_mutual)

    def renew(self) -> bool:
        """Take up files that have changed; True if there were any."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            # Both or neither; and a new context first, as a half-written file must not spoil the one in use.
            _context(self._files)
            renewed = self._grpc_configuration()
            _load_chain(self.context, self._files)
        except ConfigurationError as error:
            log.error("the renewed TLS files cannot be used: %s", error, extra={"action": "tls_not_renewed"})
            return False
        self._grpc = renewed
        log.info("TLS files renewed", extra={"action": "tls_renewed"})
        return True

    def _current(self) -> grpc.ServerCertificateConfiguration:
        return self._grpc

    def _grpc_configuration(self) -> grpc.ServerCertificateConfiguration:
        files = self._files
        pair = (_read(files.key), _read(files.certificate))
        roots = None if files.client_ca is None else _read(files.client_ca)
        return grpc.ssl_server_certificate_configuration([pair], roots)

    def _stamps(self) -> tuple[int, ...]:
        paths = (self._files.certificate, self._files.key)
        return tuple(Path(path).stat().st_mtime_ns if os.path.exists(path) else 0 for path in paths)  # noqa: PTH110


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_chain(context, files)
    if files.client_ca is not None:
        client_ca = files.client_ca
        _use("--tls-client-ca", lambda: context.load_verify_locations(client_ca))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_chain(context: ssl.SSLContext, files: TlsFiles) -> None:
    # A password that is wrong is an error; none at all would be asked for on the terminal.
    _use("--tls-cert and --tls-key", lambda: context.load_cert_chain(files.certificate, files.key, password=""))


def _use(what: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        raise ConfigurationError(
            f"{what}: the files are no PEM of a certificate with its key, without a password ({reason})"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{what}: a file cannot be read: {error.strerror}: check the path") from error


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the TLS file {path} cannot be read: {error.strerror}") from error
