"""``aeterna init``."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from importlib import metadata
from pathlib import Path

from aeterna import __version__
from aeterna.cli import output, project
from aeterna.cli.exit_codes import OK
from aeterna.cli.options import add_json_option
from aeterna.kernel.errors import ConfigurationError, UsageError

DESCRIPTION = """\
Create a small project that runs: a workflow with steps, a retry and a sleep that survives a restart, a test, and a
README that says what to try. Nothing that exists is overwritten.
"""

EPILOG = """\
examples:
  aeterna init orders
  aeterna init orders --output services/orders
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("name", metavar="NAME", help="the app's name: letters, digits, '-', '_' and '.'")
    parser.add_argument("--output", type=Path, metavar="DIR", help="where to put it (default: ./NAME)")
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Create the project."""
    if not _NAME.fullmatch(args.name):
        raise ConfigurationError(
            f"{args.name!r} cannot be an app's name: use up to 64 letters, digits, '-', '_' and '.', "
            "a letter or digit first"
        )
    directory = args.output or Path(args.name)
    files = project.render(args.name, installed_as())
    _refuse_to_overwrite(directory, list(files))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (directory / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"cannot create the project in {directory}: {error}") from error
    if args.json:
        output.print_json({"directory": str(directory), "files": list(files)})
        return OK
    print(f"created {directory}: {', '.join(files)}")
    print(f"try it:\n  cd {shlex.quote(str(directory))}\n  aeterna run app:fulfil A-1 2\n  aeterna workflow list")
    return OK


def installed_as() -> str:
    """What to write into a requirements file to get the Aeterna that is installed here (PEP 610 says from where)."""
    try:
        text = metadata.distribution("aeterna").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        return f"aeterna=={__version__}"
    origin = json.loads(text)
    url = origin["url"]
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    if "subdirectory" in origin:
        url = f"{url}#subdirectory={origin['subdirectory']}"
    return f"aeterna @ {url}"


def _refuse_to_overwrite(directory: Path, names: list[str]) -> None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} exists and is no directory: choose another place with --output")
    there = [name for name in names if (directory / name).exists()]
    if there:
        raise UsageError(
            f"{directory} has {', '.join(there)} already: choose another place with --output, or move them away. "
            "Nothing was written"
        )
