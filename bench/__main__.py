"""``python -m bench``: measure, print the tables, write the files that were asked for.

There are three parts: durable runs beside DBOS (this file), supervision beside other supervisors (`supervisor`), and
the server beside DBOS and Restate (`server`). All are measured unless ``--part`` or the names after ``--only`` choose
one.
"""

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
from bench.server import __main__ as server
from bench.server.workloads import WORKLOADS as OF_SERVER
from bench.supervisor import __main__ as supervision
from bench.supervisor.workloads import WORKLOADS as OF_SUPERVISION
from bench.workloads import WORKLOADS, Workload

DEFAULT_ROUNDS = 3
STORES = ROOT / "build" / "bench"


def parse() -> argparse.Namespace:
    """The command line; an unknown workload name ends the program with the list of names."""
    names = [workload.name for workload in WORKLOADS] + [workload.name for workload in OF_SUPERVISION]
    names += [workload.name for workload in OF_SERVER]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"Workloads: {', '.join(names)}. More about the second part: python -m bench.supervisor --help",
    )
    parser.add_argument(
        "--part", choices=["all", "durable", "supervisor", "server"], default="all", help="measure only this part"
    )
    parser.add_argument("--quick", action="store_true", help="one round of small sizes: does it work? no verdicts")
    parser.add_argument("--only", metavar="NAME,...", help="only these workloads")
    parser.add_argument("--rounds", type=int, metavar="N",
                        help=f"the median of N rounds counts ({DEFAULT_ROUNDS}; supervisor part: 1)")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE",
                        help="write an SVG picture of the ratios, and one of the reloads beside it")  # fmt: skip
    parser.add_argument("--system", choices=["both", "aeterna", "dbos"], default="both", help="measure only one")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="event loop of both systems")
    parser.add_argument("--dbos-journal", choices=["delete", "wal"], default="delete",
                        help="journal mode of the file DBOS gets; delete is what it has out of the box")  # fmt: skip
    parser.add_argument("--systems", metavar="NAME,...", help="supervisor part: only these systems")
    parser.add_argument("--reloads", type=int, metavar="N", help="supervisor part: reloads of each system")
    options = parser.parse_args()
    if options.only:
        unknown = set(options.only.split(",")) - set(names)
        if unknown:
            parser.error(f"--only: no workload is called {', '.join(sorted(unknown))}. There are: {', '.join(names)}")
    return options


def has_durable_part(options: argparse.Namespace) -> bool:
    """Whether anything beside DBOS was asked for."""
    return options.part in ("all", "durable") and bool(chosen_workloads(options.only))


def supervisor_words(options: argparse.Namespace) -> list[str] | None:
    """The command line of the supervisor part; None if nothing of it was asked for.

    ``--system`` speaks of DBOS alone, so it chooses the durable part. Files are named as they were asked for, with
    ``.supervisor`` before the suffix when the durable part writes its own under that name.
    """
    only = [each.name for each in OF_SUPERVISION if options.only is None or each.name in options.only.split(",")]
    if options.part in ("durable", "server") or not only or (options.part == "all" and options.system != "both"):
        return None
    words = ["--only", ",".join(only)] + (["--quick"] if options.quick else [])
    for name in ("systems", "reloads", "rounds"):
        value = getattr(options, name)
        words += [f"--{name}", str(value)] if value is not None else []
    for name in ("json", "plot"):
        path: Path | None = getattr(options, name)
        if path is not None and has_durable_part(options):
            path = path.with_suffix(f".supervisor{path.suffix}")
        words += [f"--{name}", str(path)] if path is not None else []
    return words


def server_words(options: argparse.Namespace) -> list[str] | None:
    """The command line of the server's part; None if nothing of it was asked for. Files are named as in
    `supervisor_words`."""
    only = [each.name for each in OF_SERVER if options.only is None or each.name in options.only.split(",")]
    if options.part in ("durable", "supervisor") or not only or (options.part == "all" and options.system != "both"):
        return None
    words = ["--only", ",".join(only)] + (["--quick"] if options.quick else [])
    words += ["--rounds", str(options.rounds)] if options.rounds is not None else []
    for name in ("json", "plot"):
        path: Path | None = getattr(options, name)
        if path is not None:
            path = path if options.part == "server" else path.with_suffix(f".server{path.suffix}")
            words += [f"--{name}", str(path)]
    return words


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
    words = supervisor_words(options)
    of_supervision = None if words is None else supervision.parse(words)
    codes = [measure_durable(options)] if has_durable_part(options) else []
    if of_supervision is not None:
        print()
        codes.append(supervision.measure(of_supervision))
    of_server = server_words(options)
    if of_server is not None:
        print()
        codes.append(server.measure(server.parse(of_server)))
    return max(codes, default=0)


def measure_durable(options: argparse.Namespace) -> int:
    """The part beside DBOS; the same codes."""
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
