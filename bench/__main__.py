"""``python -m bench``: measure, print the table, write the files that were asked for."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench import machine, report
from bench.child import ROOT, ChildFailed, System
from bench.plot import write_svg
from bench.procedures import Setting, measure
from bench.workloads import WORKLOADS, Workload

DEFAULT_ROUNDS = 3
STORES = ROOT / "build" / "bench"


def parse() -> argparse.Namespace:
    """The command line; an unknown workload name ends the program with the list of names."""
    names = ", ".join(workload.name for workload in WORKLOADS)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, epilog=f"Workloads: {names}")
    parser.add_argument("--quick", action="store_true", help="one round of small sizes: does it work? no verdicts")
    parser.add_argument("--only", metavar="NAME,...", help="only these workloads")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"the median of N rounds counts ({DEFAULT_ROUNDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write an SVG picture of the ratios to this file")
    parser.add_argument("--system", choices=["both", "aeterna", "dbos"], default="both", help="measure only one")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="event loop of both systems")
    parser.add_argument("--dbos-journal", choices=["delete", "wal"], default="delete",
                        help="journal mode of the file DBOS gets; delete is what it has out of the box")  # fmt: skip
    options = parser.parse_args()
    if options.only:
        unknown = set(options.only.split(",")) - {workload.name for workload in WORKLOADS}
        if unknown:
            parser.error(f"--only: no workload is called {', '.join(sorted(unknown))}. There are: {names}")
    return options


def chosen_systems(options: argparse.Namespace) -> list[System]:
    """The systems to measure; DBOS is left out with a remark when it is not installed."""
    wanted = [system for system in System if options.system in ("both", system.name.lower())]
    if System.DBOS in wanted and machine.version_of("dbos") is None:
        say("DBOS is not installed in this environment; only Aeterna is measured (pip install dbos)")
        wanted.remove(System.DBOS)
    return wanted


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def measure_all(
    options: argparse.Namespace, systems: list[System], folder: Path
) -> tuple[report.Rounds, list[ChildFailed]]:
    """All workloads, the systems taking turns within a round; and what failed, which stops nothing else."""
    rounds = options.rounds or (1 if options.quick else DEFAULT_ROUNDS)
    setting = Setting(options.loop, options.dbos_journal)
    found: report.Rounds = {}
    failures: list[ChildFailed] = []
    for workload in chosen_workloads(options.only):
        sizes = workload.quick if options.quick else workload.full
        for number in range(rounds):
            for system in (system for system in systems if system in sizes):
                say(f"{workload.name}: {system.name.lower()}, round {number + 1} of {rounds}")
                place = Path(tempfile.mkdtemp(dir=folder))
                try:
                    metrics = measure(workload, system, sizes[system], setting, place)
                    found.setdefault(workload.name, {}).setdefault(system, []).append(metrics)
                except ChildFailed as failure:
                    say(str(failure))
                    failures.append(failure)
                shutil.rmtree(place)
    return found, failures


def chosen_workloads(only: str | None) -> list[Workload]:
    """In the table's order."""
    return [workload for workload in WORKLOADS if only is None or workload.name in only.split(",")]


def main() -> int:
    """0 when everything worked and every target that was judged is met, 1 otherwise."""
    options = parse()
    STORES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORES) as folder:
        described = machine.describe(Path(folder))
        rounds, failures = measure_all(options, chosen_systems(options), Path(folder))
    found = report.results(rounds, judged=not options.quick)
    for name, value in asdict(described).items():
        print(f"  {name.replace('_', ' '):<28} {round(value, 1) if isinstance(value, float) else value}")
    print("\n".join(report.durability_lines(rounds)), end="\n\n")
    print(report.table(found))
    for failure in failures:
        print(f"\nFAILED: {failure}")
    if options.quick:
        print("\nQuick sizes: this shows that everything works; the figures are not comparable with the targets.")
    if options.json:
        settings = {key: str(value) for key, value in vars(options).items()}
        report.write_json(options.json, described, settings, rounds, found)
    if options.plot:
        write_svg(options.plot, found)
    return 1 if failures or any(result.met is False for result in found) else 0


if __name__ == "__main__":
    sys.exit(main())
