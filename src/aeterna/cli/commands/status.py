"""``aeterna status``: the services; with an id, a run."""

from __future__ import annotations

import argparse

from aeterna.cli.options import add_app_option, add_config_option, add_json_option, add_store_option
from aeterna.kernel.errors import UsageError

DESCRIPTION = """\
Show the services of the supervisor that runs this configuration. With the id of a run, show what that run is doing, as
`aeterna workflow status` does.
"""

EPILOG = """\
examples:
  aeterna status
  aeterna status -c /etc/web/aeterna.yaml --json
  aeterna status --quick            exit code 0 if every service is ready, else 1: for a container's health check
  aeterna status order-1            a run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("id", metavar="RUN_ID", nargs="?", help="show this run instead of the services")
    parser.add_argument("--quick", action="store_true", help="only say whether every service is ready")
    add_config_option(parser)
    add_app_option(parser)
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the services, or one run."""
    if args.id is None:
        if args.store is not None or args.app is not None or args.server is not None:
            raise UsageError(
                "--store, --server and --app are about runs: give the id of one (see `aeterna workflow list`)"
            )
        from aeterna.cli.commands import service_status

        return service_status.run(args)
    if args.quick or args.config is not None:
        raise UsageError("--quick and --config are about services: leave the id of the run away")
    from aeterna.cli.commands import workflow_status

    return workflow_status.run(args)
