"""What servers need that others than this machine can reach: a certificate for their addresses, and a token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

from aeterna.durable.sdk.settings import Server

TOKEN = "a-token-of-the-tests-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Credentials:
    """``options``: of the servers; ``environment``: of those who talk with them; ``ca``: a file, None = no TLS."""

    options: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    ca: str | None = None

    def server(self, addresses: str) -> Server:
        """The servers at these addresses, for an app."""
        return Server(addresses, token=TOKEN if self.ca else None, ca=self.ca)


def make_credentials(folder: Path, addresses: Sequence[str]) -> Credentials:
    """A certificate for these addresses and the token, as files in the folder."""
    authority = trustme.CA()
    certificate = authority.issue_cert(*addresses)
    ca, chain, key, token = (folder / name for name in ("ca.pem", "chain.pem", "key.pem", "token"))
    authority.cert_pem.write_to_path(ca)
    for number, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(chain, append=number > 0)
    certificate.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    token.write_text(TOKEN)
    token.chmod(0o600)
    options = ("--tls-cert", str(chain), "--tls-key", str(key), "--admin-token-file", str(token))
    return Credentials(options, {"AETERNA_TOKEN": TOKEN, "AETERNA_TLS_CA": str(ca)}, str(ca))
