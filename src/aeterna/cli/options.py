"""The options that many commands have."""

from __future__ import annotations

import argparse

from aeterna.cli.server_choice import add_server_options

STORE_VARIABLE = "AETERNA_STORE"


def whole_number(text: str) -> int:
    """The number; for ``type=``."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def add_app_option(parser: argparse.ArgumentParser) -> None:
    """``--app``, and the options of a server, which has the runs of several apps, too."""
    text = "only runs of this app, where a store or a server holds several"
    parser.add_argument("--app", "--namespace", metavar="NAME", help=text)
    add_server_options(parser)


def add_store_option(parser: argparse.ArgumentParser) -> None:
    """``--store``."""
    parser.add_argument(
        "--store",
        metavar="URL|PATH",
        help=f"the store: a file or sqlite:///PATH (default: ${STORE_VARIABLE}, else the only file in ./.aeterna/)",
    )


def add_run_filters(parser: argparse.ArgumentParser) -> None:
    """``--type`` and ``--state``: which runs are meant."""
    from aeterna.cli.runs import STATES

    parser.add_argument("--type", metavar="NAME", help="only runs of this workflow")
    parser.add_argument(
        "--state",
        action="append",
        type=str.upper,
        choices=STATES,
        metavar="STATE",
        help=f"only runs in this state, may be given several times: {', '.join(STATES)}",
    )


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """``-c``, ``--config``."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="the configuration (default: aeterna.yaml, .yml, .toml or .json here or in a directory above)",
    )
