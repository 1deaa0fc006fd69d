"""``aeterna token create``."""

from __future__ import annotations

import argparse
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import OK
from aeterna.cli.server_client import ServerClient
from aeterna.cli.token_options import ABOUT, add_place_options, there_or_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from aeterna.server.tokens import TokenBook

DESCRIPTION = f"""\
Give out a token, and print it: it cannot be shown again. Once there is one, the server wants a token from everybody.

{ABOUT}"""

EPILOG = """\
roles, each with what those before it may do:
  read-only   see which runs there are and how they do; no arguments, results or texts of errors
  client      start, signal, query, pause, cancel and fork runs, and see all of them
  worker      execute runs, declare queues and schedules
  admin       delete runs, change limits and schedules, give out tokens

examples:
  aeterna token create --role admin --db ./data/aether.db
  aeterna token create --role worker --for orders --note "worker machines" --server localhost:7233
  export AETERNA_TOKEN=$(aeterna token create --role client --for orders)
"""

ROLES = ("read-only", "client", "worker", "admin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--role", required=True, choices=ROLES, help="what its holder may do")
    parser.add_argument("--for", dest="whose", default="*", metavar="APP", help="only in this app's namespace")
    parser.add_argument("--note", default="", help="who has it, or what it is for")
    add_place_options(parser)


def run(args: argparse.Namespace) -> int:
    """Create one."""

    def there(client: ServerClient) -> dict[str, Any]:
        wanted = {"namespace": args.whose, "role": args.role, "note": args.note}
        return client.post("/api/tokens", wanted)

    async def here(book: TokenBook) -> dict[str, Any]:
        from aeterna.server.tokens import record_of

        token, row = await book.create(args.whose, args.role, args.note)
        return {**record_of(row), "token": token}

    made = there_or_here(args, there, here)
    if args.json:
        output.print_json(made)
    else:
        output.note(f"token {made['id']}: {made['role']} in {_where(made['namespace'])}; it is shown this once")
        print(made["token"])
    return OK


def _where(namespace: str) -> str:
    return "all namespaces" if namespace == "*" else f"namespace {namespace}"
