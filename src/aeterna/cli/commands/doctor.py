"""``aeterna doctor``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from aeterna.cli import output
from aeterna.cli.diagnosis import Finding, Verdict, machine, place, store, supervision
from aeterna.cli.exit_codes import FAILED, OK
from aeterna.cli.options import add_json_option, add_store_option
from aeterna.cli.store_choice import DIRECTORY, choose_store, exists
from aeterna.kernel.errors import AeternaError, StoreError

DESCRIPTION = """\
Look at this machine, what it offers to a supervisor, the place where the store is, and the store itself. Each line is
ok, warn or fail, and says what to do. Exit code 1 if anything fails. Nothing is changed; programs that use the store go
on meanwhile.
"""

EPILOG = """\
examples:
  aeterna doctor
  aeterna doctor --store /var/lib/orders.db --json
  aeterna doctor --quick          without reading the whole store
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--quick", action="store_true", help="do not read the whole store for damage")
    add_store_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings."""
    findings: list[Finding] = []
    for finding in _examine(args.store, is_quick=args.quick):
        findings.append(finding)
        if not args.json:
            print(f"{finding.verdict:<4}  {finding.what:<14}  {finding.found}", flush=True)
            if finding.advice:
                print(f"{'':22}{finding.advice}")
    is_well = all(finding.verdict is not Verdict.FAIL for finding in findings)
    if args.json:
        output.print_json({"ok": is_well, "findings": [finding._asdict() for finding in findings]})
    return OK if is_well else FAILED


def _examine(given: str | None, *, is_quick: bool) -> Iterator[Finding]:
    yield from machine.findings()
    yield from supervision.findings()
    path, problem = _choose(given)
    if problem is not None:
        yield problem
    directory = DIRECTORY if path is None else path.parent
    yield from place.findings(directory)
    if path is None:
        return
    if exists(path) and not _is_empty(path):
        yield from store.findings(path, is_quick=is_quick)
    else:
        yield Finding(
            Verdict.OK, "store", f"none at {path} yet", "It comes to be when an App that names it is first used."
        )


def _is_empty(path: Path) -> bool:
    """An empty file, which becomes a store as well as none does."""
    return path.is_file() and not path.stat().st_size


def _choose(given: str | None) -> tuple[Path | None, Finding | None]:
    try:
        return choose_store(given), None
    except StoreError:
        advice = "It comes to be when an App is first used here; --store or AETERNA_STORE name another one."
        return None, Finding(Verdict.OK, "store", f"none in {DIRECTORY.resolve()} yet", advice)
    except AeternaError as error:
        return None, Finding(Verdict.FAIL, "store", str(error), "Name the one to examine with --store.")
