"""``aeterna token list``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.server_client import ServerClient
from aeterna.cli.token_options import ABOUT, add_place_options, there_or_here, token_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.server.tokens import TokenBook

EPILOG = """\
examples:
  aeterna token list --server localhost:7233
  aeterna token list --db ./data/aether.db --json
"""

_HEADS = ("ID", "NAMESPACE", "ROLE", "CREATED", "NOTE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = f"Show the tokens there are, without their secrets.\n\n{ABOUT}", EPILOG
    add_place_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tokens."""

    def there(client: ServerClient) -> list[dict[str, Any]]:
        return list(client.get("/api/tokens", {"namespace": args.namespace})["tokens"])

    async def here(book: TokenBook) -> list[dict[str, Any]]:
        from aeterna.server.tokens import record_of

        return [record_of(row) for row in await book.list_tokens()]

    tokens = there_or_here(args, there, here)
    now = output.now_us()
    if args.json:
        output.print_json({"tokens": tokens})
    elif tokens:
        rows = [token_row(token, output.moment(token["created_us"], now)) for token in tokens]
        print(output.table(_HEADS, rows, {"NOTE": output.shorten}))
    else:
        output.note("there are no tokens")
    return OK
