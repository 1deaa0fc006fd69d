"""``python -m bench.server``: the server beside DBOS over PostgreSQL and Restate, each in processes of its own."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine
from bench.server import report
from bench.server.picture import draw
from bench.server.program import ROOT, ProgramFailed
from bench.server.sizes import FULL, QUICK
from bench.server.throughput import SYSTEMS
from bench.server.workloads import WORKLOADS, Workload

PICTURE = ROOT / "build" / "bench" / "server.svg"
ROUNDS = 3


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; an unknown name ends the program with the list of names."""
    names = [each.name for each in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="python -m bench.server", description=__doc__,
        epilog=f"Workloads: {', '.join(names)}. Systems: {', '.join(SYSTEMS)}.",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: does it work? no verdicts")
    parser.add_argument("--only", metavar="NAME,...", type=_list_of(names), default=names, help="only these workloads")
    parser.add_argument("--systems", metavar="NAME,...", type=_list_of(SYSTEMS), default=list(SYSTEMS),
                        help="only these systems")  # fmt: skip
    parser.add_argument("--rounds", type=int, metavar="N", help=f"the median of N rounds counts ({ROUNDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", default=PICTURE,
                        help="the picture of how throughput grows with workers and servers (build/bench/)")  # fmt: skip
    return parser.parse_args(words)


def _list_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    def parsed(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(names):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}. There are: {', '.join(names)}")
        return chosen

    return parsed


def measure(options: argparse.Namespace) -> int:
    """Measure, print, write; 0 when everything worked and every target that was judged is met."""
    stores = ROOT / "build" / "bench"
    stores.mkdir(parents=True, exist_ok=True)
    figures: report.Figures = {}
    failures: list[str] = []
    with tempfile.TemporaryDirectory(dir=stores) as folder:
        described = machine.describe(Path(folder))
    for workload in (each for each in WORKLOADS if each.name in options.only):
        figures[workload.name] = _measure(workload, options, stores, failures)
        print(report.table({workload.name: figures[workload.name]}), file=sys.stderr, flush=True)
    verdicts = [] if options.quick else report.verdicts(figures)
    print(report.table(figures))
    print("\n".join(report.verdict_lines(verdicts)))
    print("\n".join(f"FAILED: {failure}" for failure in failures))
    points = figures.get("server-scaling", {}).get("aeterna-postgres")
    if points:
        draw(options.plot, points)
    if options.json:
        document = {
            "machine": asdict(described), "quick": options.quick, "figures": figures,
            "verdicts": [asdict(each) for each in verdicts], "failures": failures,
        }  # fmt: skip
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if failures or any(not each.is_met for each in verdicts) else 0


def _measure(
    workload: Workload, options: argparse.Namespace, stores: Path, failures: list[str]
) -> dict[str, dict[str, Any]]:
    """The medians over the rounds, by system; the systems take turns within a round."""
    sizes = QUICK if options.quick else FULL
    rounds = 1 if options.quick or workload.is_long else options.rounds or ROUNDS
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        for system in (each for each in workload.systems if each in options.systems):
            print(f"{workload.name}: {system}, round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=stores) as folder:
                try:
                    found.setdefault(system, []).append(workload.measure(system, sizes, Path(folder)))
                except (ProgramFailed, AssertionError, RuntimeError) as failure:
                    failures.append(f"{workload.name}, {system}: {failure}")
    return {system: _medians(metrics) for system, metrics in found.items()}


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]} if rounds else {}


if __name__ == "__main__":
    sys.exit(measure(parse()))
