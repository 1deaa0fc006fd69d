"""What stands between a server and those who reach it, put together once for all transports."""

from __future__ import annotations

from dataclasses import dataclass

from aeterna.durable.stores.contract import Namespaces
from aeterna.kernel.clock import Clock, sleep
from aeterna.server.auth import Gatekeeper
from aeterna.server.exposure import check_exposure, is_loopback
from aeterna.server.options import ServeOptions
from aeterna.server.tls import Tls
from aeterna.server.tokens import TokenBook, given_token

ROUND_S = 1.0


@dataclass(frozen=True, slots=True)
class Security:
    """``tls`` is None on a server that encrypts nothing."""

    gate: Gatekeeper
    book: TokenBook
    tls: Tls | None

    async def make_rounds(self) -> None:
        """For as long as the server serves: revoked tokens lose what they opened, renewed certificates are taken up."""
        while True:
            await sleep(ROUND_S)
            await self.gate.look_round()
            if self.tls is not None:
                self.tls.renew()


async def secure(namespaces: Namespaces, options: ServeOptions, clock: Clock) -> Security:
    """For a place that is open. Raises `ConfigurationError` for a server that others could reach unprotected."""
    given = () if options.admin_token is None else (given_token(options.admin_token, clock),)
    tls = None if options.tls is None else Tls(options.tls)
    book = TokenBook(namespaces, clock)
    is_private = is_loopback(options.host)
    if not is_private:
        has_token = bool(given) or bool(await book.list_tokens())
        check_exposure(options.host, has_tls=tls is not None, has_token=has_token)
    gate = Gatekeeper(book, clock, needs_token=not is_private, given=given)
    await gate.warm()
    return Security(gate, book, tls)
