"""``python -m bench.supervisor``: reloads, restarts, start-ups and handovers, side by side with other systems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bench.machine import describe
from bench.supervisor import results
from bench.supervisor.peers import PEERS, USUAL
from bench.supervisor.peers.peer import Peer
from bench.supervisor.picture import draw
from bench.supervisor.promises import Verdict, verdicts
from bench.supervisor.settings import FULL, QUICK, Settings
from bench.supervisor.site import ROOT, SystemFailed
from bench.supervisor.workloads import WORKLOADS, Workload

PICTURE = ROOT / "build" / "bench" / "reload.svg"


@dataclass(slots=True)
class Measured:
    """What came out: the metrics, and what failed or was left out, with its reason."""

    rounds: results.Rounds = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; an unknown name ends the program with the list of names."""
    parser = argparse.ArgumentParser(prog="python -m bench.supervisor", description=__doc__, epilog=_names())
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work? no verdicts")
    parser.add_argument("--only", metavar="NAME,...", type=_list_of([each.name for each in WORKLOADS]),
                        help="only these workloads")  # fmt: skip
    parser.add_argument("--systems", metavar="NAME,...", type=_list_of(list(PEERS)), help="only these systems")
    parser.add_argument("--reloads", type=int, metavar="N", help="reloads of each system and workload")
    parser.add_argument("--rounds", type=int, metavar="N", default=1, help="the median of N rounds counts (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--plot", type=Path, metavar="FILE", default=PICTURE,
                        help="the picture of latency around the reload, SVG or PNG (build/bench/)")  # fmt: skip
    return parser.parse_args(words)


def _names() -> str:
    workloads = ", ".join(each.name for each in WORKLOADS)
    usual = ", ".join(each.name for each in USUAL)
    others = ", ".join(name for name, peer in PEERS.items() if peer not in USUAL)
    return f"Workloads: {workloads}. Systems: {usual}; on request also {others}."


def _list_of(names: list[str]) -> Callable[[str], list[str]]:
    def parsed(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(names):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}. There are: {', '.join(names)}")
        return chosen

    return parsed


def settings_of(options: argparse.Namespace) -> Settings:
    """The sizes that were asked for."""
    settings = QUICK if options.quick else FULL
    if options.reloads:
        settings = replace(settings, reloads=options.reloads, closed_reloads=options.reloads)
    return settings


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def measure_all(options: argparse.Namespace, settings: Settings) -> Measured:
    """All workloads, the systems taking turns within a round; what fails stops nothing else."""
    measured = Measured()
    peers = _present(options.systems, measured)
    for workload in WORKLOADS:
        if options.only and workload.name not in options.only:
            continue
        for number in range(options.rounds):
            for peer in (peer for peer in peers if workload.takes(peer)):
                say(f"{workload.name}: {peer.name}, round {number + 1} of {options.rounds}")
                _measure(workload, peer, settings, measured)
    return measured


def _present(names: Sequence[str] | None, measured: Measured) -> list[type[Peer]]:
    chosen = [PEERS[name] for name in names] if names else list(USUAL)
    for peer in chosen:
        reason = peer.missing()
        if reason is not None:
            say(f"{peer.name} is left out: {reason}")
            measured.left_out[peer.name] = reason
    return [peer for peer in chosen if peer.name not in measured.left_out]


def _measure(workload: Workload, peer: type[Peer], settings: Settings, measured: Measured) -> None:
    try:
        metrics = workload.measure(peer, settings)
    except SystemFailed as failure:
        say(f"{workload.name}, {peer.name}: {failure}")
        measured.failures.append((peer.name, f"{workload.name}, {peer.name}: {failure}"))
    else:
        measured.rounds.setdefault(workload.name, {}).setdefault(peer.name, []).append(metrics)


def report_lines(options: argparse.Namespace, measured: Measured, judged: Sequence[Verdict]) -> list[str]:
    """The tables, the promises, and what is missing from them."""
    lines = [results.tables(results.medians(measured.rounds)), "", *results.verdict_lines(judged)]
    lines += [f"left out: {name}: {reason}" for name, reason in measured.left_out.items()]
    lines += [f"\nFAILED: {failure}" for _, failure in measured.failures]
    if options.quick:
        lines.append(
            "\nQuick sizes: this shows that everything works; the figures are not comparable with the promises."
        )
    return lines


def measure(options: argparse.Namespace) -> int:
    """Measure, print, write: 0 when every promise that was judged is kept and Aeterna never failed, 1 otherwise."""
    settings = settings_of(options)
    machine = describe(ROOT)
    measured = measure_all(options, settings)
    judged = [] if options.quick else verdicts(results.medians(measured.rounds))
    print(f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}")
    print(f"load before the start {machine.load_before:.1f} (it should be near 0)\n")
    print("\n".join(report_lines(options, measured, judged)))
    if options.json:
        results.write_json(options.json, machine, asdict(settings), measured.rounds, judged)
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    if draw(options.plot, measured.rounds):
        print(f"\nThe picture: {options.plot}")
    ours = any(name.startswith(results.REFERENCE) for name, _ in measured.failures)
    return 1 if ours or not all(each.kept for each in judged) else 0


if __name__ == "__main__":
    sys.exit(measure(parse()))
