"""Where the commands about tokens find them: at a running server, or in the store that one serves."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aeterna.cli.options import add_json_option
from aeterna.cli.server_choice import add_server_options, chosen_server
from aeterna.kernel.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.cli.server_client import ServerClient
    from aeterna.server.tokens import TokenBook

T = TypeVar("T")

ABOUT = """\
The tokens are kept in the server's store, as hashes: a token is shown once, when it is created. Name a running server
with --server, or its store with --db; a SQLite file can be opened only while no server has it.
"""


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """``--db``, and those of a server."""
    parser.add_argument("--db", metavar="PATH_OR_URL", help="the store of `aeterna serve --db`, instead of a server")
    parser.add_argument("--namespace", metavar="APP", help="as the admin of this app's namespace only")
    add_server_options(parser)
    add_json_option(parser)


def there_or_here(
    args: argparse.Namespace,
    there: Callable[[ServerClient], T],
    here: Callable[[TokenBook], Awaitable[T]],
) -> T:
    """Ask the server, or do it in the store."""
    if args.db is None:
        server = chosen_server(args)
        if server is None:
            raise UsageError("which tokens? Name the server with --server, or its store with --db")
        with server.connect() as client:
            return there(client)
    if args.server is not None:
        raise UsageError("--db and --server contradict each other: give one of them")
    return _in_store(args.db, here)


def _in_store(db: str, work: Callable[[TokenBook], Awaitable[T]]) -> T:
    import asyncio

    from aeterna.durable.stores.opening import open_namespaces
    from aeterna.kernel.clock import SystemClock
    from aeterna.server.settings import settle
    from aeterna.server.tokens import TokenBook

    async def main() -> T:
        namespaces = open_namespaces(settle({"db": db}).url)
        await namespaces.open()
        try:
            return await work(TokenBook(namespaces, SystemClock()))
        finally:
            await namespaces.close()

    return asyncio.run(main())


def token_row(token: dict[str, Any], created: str) -> tuple[str, ...]:
    """A token as a row of a table."""
    return token["id"], token["namespace"], token["role"], created, token["note"]
