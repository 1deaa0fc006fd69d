"""The options by which commands choose a configuration and change it for themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

from aeterna.cli.instance import existing_instance
from aeterna.cli.options import add_config_option


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """``-c``, ``--config`` and ``--override``."""
    add_config_option(parser)
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a key, like orchestration.drain.timeout=10s; may be given several times",
    )


def chosen_config(args: argparse.Namespace) -> Path:
    """The file that the options name; raises `ConfigurationError`."""
    return Path(existing_instance(args.config).config)
