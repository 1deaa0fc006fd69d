"""``aeterna config check``."""

from __future__ import annotations

import argparse
import os

from aeterna.cli import output
from aeterna.cli.config_choice import add_config_options, chosen_config
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_json_option
from aeterna.cli.quick_msgspec import load_msgspec_quickly

DESCRIPTION = """\
Check a configuration without starting anything. All mistakes in keys and values are shown at once, and then those in
what they mean together: where, the key and its value, what is wrong, what would be right. Exit code 2 if there is one;
warnings are shown and change nothing.
"""

EPILOG = """\
examples:
  aeterna config check
  aeterna config check -c prod.yaml --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_config_options(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Check the configuration; a wrong one is raised as `ConfigurationError`."""
    load_msgspec_quickly()
    from aeterna.config.loading import load

    plan = load(chosen_config(args), os.environ, args.override)
    names = [service.name for service in plan.services]
    if args.json:
        output.print_json({"source": plan.source, "ok": True, "services": names, "warnings": list(plan.warnings)})
        return OK
    for warning in plan.warnings:
        output.note(f"warning: {warning}")
    print(f"{plan.source}: nothing is wrong; {'services' if len(names) > 1 else 'service'} {', '.join(names)}")
    return OK
