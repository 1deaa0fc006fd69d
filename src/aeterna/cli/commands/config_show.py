"""``aeterna config show``."""

from __future__ import annotations

import argparse
import os

from aeterna.cli import output
from aeterna.cli.config_choice import add_config_options, chosen_config
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_json_option
from aeterna.cli.quick_msgspec import load_msgspec_quickly

DESCRIPTION = """\
Print the configuration that is in force: every key with its value, defaults and older names resolved, as a file that
can itself be used. Values come from the defaults, the file, a .env file beside it, the environment
(AETERNA__SECTION__KEY) and --override, the later winning. Secrets are shown as stars.
"""

EPILOG = """\
examples:
  aeterna config show
  aeterna config show --origin                 with the line, variable or option each value comes from
  aeterna config show -c prod.yaml --json
  aeterna config show --override orchestration.strategy=immediate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_config_options(parser)
    parser.add_argument("--origin", action="store_true", help="say where each value comes from")
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the configuration."""
    load_msgspec_quickly()
    from aeterna.config.effective import document_of, masked_document
    from aeterna.config.loading import load_with_origins
    from aeterna.config.mistakes import key_path
    from aeterna.config.origins import leaves, origin_of
    from aeterna.config.writing import write_yaml

    loaded = load_with_origins(chosen_config(args), os.environ, args.override)
    document = masked_document(document_of(loaded.plan))
    root = loaded.findings.root
    if args.json:
        found = {"source": loaded.plan.source, "config": document, "warnings": list(loaded.plan.warnings)}
        if args.origin:
            found["origins"] = {key_path(path): origin_of(root, path) for path, _ in leaves(document)}
        output.print_json(found)
        return OK
    print(write_yaml(document, (lambda path: origin_of(root, path)) if args.origin else None), end="")
    for warning in loaded.plan.warnings:
        output.note(f"warning: {warning}")
    return OK
