"""``aeterna token revoke``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.quoting import quoted
from aeterna.cli.server_client import ServerClient
from aeterna.cli.token_options import ABOUT, add_place_options, there_or_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.server.tokens import TokenBook

DESCRIPTION = f"""\
Take a token back. Nobody gets in with it any more, and the connections that it opened end within two seconds, at every
server of the store.

{ABOUT}"""

EPILOG = """\
examples:
  aeterna token revoke 1f2e3d4c5b6a --server localhost:7233
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="ID", help="the token's id, from `aeterna token list`")
    add_place_options(parser)


def run(args: argparse.Namespace) -> int:
    """Revoke one."""

    def there(client: ServerClient) -> dict[str, Any]:
        return client.delete(f"/api/tokens/{quoted(args.id)}", {"namespace": args.namespace})

    async def here(book: TokenBook) -> dict[str, Any]:
        from aeterna.server.auth import ANYBODY
        from aeterna.server.tokens import record_of

        # Whoever can open the store may do what they like in it.
        return record_of(await book.revoke(args.id, ANYBODY))

    gone = there_or_here(args, there, here)
    if args.json:
        output.print_json(gone)
    else:
        print(f"revoked token {gone['id']}: {gone['role']} in namespace {gone['namespace']}")
    return OK
