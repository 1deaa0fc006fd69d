"""``python -m bench.supervisor.state_pause``: how long nobody accepts while memory moves, stage by stage.

Real processes and the real relay, without the rest of the supervisor: the whole reload under load is the ``handover``
workload of ``python -m bench.supervisor``. The pause is from the first byte of QUIESCE until the new process has said
ACCEPTING; all pages are present in the old one, and the digest is verified by both. Each round starts a new process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from time import perf_counter, process_time

from aeterna.supervisor.host.relay import Relay, RelayLimits, open_relay_socket
from bench.machine import describe
from bench.supervisor.site import ROOT
from bench.supervisor.summary import percentile

MIB = 1024 * 1024
LIMIT_MS = 30_000
NODE = ("node", os.fspath(ROOT / "tests" / "handover" / "node_client.js"))
FILL = """
import sys
from aeterna import handover
size, kind, is_first = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"
if kind == "buffer":
    view = handover.buffer("blob", size).view
elif kind == "json":
    view = handover.state("blob", default=dict)
else:
    view = handover.state("blob", default=lambda: bytearray(size if is_first else 0))
if is_first and kind == "json":
    turns = [{"role": "user", "text": "x" * 440}] * 2
    view.update((f"{n:08}", {"user": n, "turns": turns}) for n in range(size // 1024))
elif is_first:
    view[:] = bytes(range(256)) * (size // 256)
print("up", flush=True)
for line in sys.stdin:
    if kind == "json":
        print(len(view) == size // 1024, flush=True)
    else:
        print(len(view) == size and view[1] == 1 and view[-1] == 255, flush=True)
"""
STAGES = ("precopy", "quiesce", "snapshot", "restore", "roles", "pause", "rollback")


@dataclass(frozen=True, slots=True)
class Case:
    """Memory of one kind and size: a ``buffer`` is passed, a ``value`` (bytes) is copied, a dict of sessions goes as
    ``json``, ``chunks`` go to and from Node."""

    kind: str
    mebibytes: int

    @property
    def bytes(self) -> int:
        return self.mebibytes * MIB


CASES = (Case("chunks", 1), Case("value", 1), Case("buffer", 100), Case("json", 100), Case("buffer", 1024))
SLOW_ROUNDS_MAX = 5
"""For what is there to be compared with, and takes seconds."""
PAUSE_MS_MAX = {Case("chunks", 1): 5.0, Case("buffer", 100): 20.0, Case("buffer", 1024): 150.0}
ROLLBACK_MS_MAX = 10.0
EXTRA_SHARE_MAX = 0.05


class Process:
    """A process of a generation that holds the memory."""

    def __init__(self, case: Case, path: Path, generation: int) -> None:
        is_first = generation == 1
        python = (sys.executable, "-c", FILL, str(case.bytes), case.kind, str(int(is_first)))
        self.is_node = case.kind == "chunks"
        env = {
            **os.environ,
            "AETERNA_STATE_SOCK": os.fspath(path),
            "AETERNA_INSTANCE": f"token-{generation}",
            "AETERNA_GENERATION": str(generation),
            "AETERNA_ROLE": "active" if is_first else "candidate",
            "AETERNA_STATE_MODE": "exclusive",
        }
        self._popen = Popen([*(NODE if self.is_node else python)], env=env, stdin=PIPE, stdout=PIPE, text=True)
        self.pid = self._popen.pid
        self._line()
        if self.is_node and is_first:
            self.ask(f"blob = Buffer.alloc({case.bytes}).map((_, place) => place % 256); 0")

    def has_all(self, case: Case) -> bool:
        """The memory is what the first process wrote."""
        code = f"+(blob.length === {case.bytes} && blob[1] === 1 && blob[blob.length - 1] === 255)"
        return self.ask(code) in ("True", json.dumps("1"))

    def ask(self, line: str) -> str:
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()

    def private_kib(self) -> int:
        """What it has in memory, its share of what several processes have."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))

    def end(self) -> None:
        self._popen.kill()
        self._popen.communicate()


@contextmanager
def relay_in_a_folder() -> Iterator[tuple[Relay, Path]]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    relay = Relay(open_relay_socket(folder / "srp.sock"), RelayLimits(), lambda kind, data: None)
    try:
        yield relay, folder / "srp.sock"
    finally:
        relay.close()
        shutil.rmtree(folder)


async def start(case: Case, relay: Relay, path: Path, generation: int) -> Process:
    relay.expect(generation, f"token-{generation}", lambda pid: True)
    process = await asyncio.to_thread(Process, case, path, generation)
    while not any(peer.parts for peer in relay.peers(generation)):
        await asyncio.sleep(0.005)
    return process


async def hand_over(relay: Relay, old: int) -> dict[str, float]:
    """One handover and, first, a pause that is given up; milliseconds by stage."""
    new, times_ms = old + 1, {}
    mark_s = perf_counter()

    def lap(stage: str) -> None:
        nonlocal mark_s
        before_s, mark_s = mark_s, perf_counter()
        times_ms[stage] = (mark_s - before_s) * 1000

    await relay.precopy(old, new, new, LIMIT_MS)
    lap("precopy")
    await relay.quiesce(old, new, LIMIT_MS)
    mark_s = perf_counter()
    await relay.resume(old, new)
    lap("rollback")
    begin_s = perf_counter()
    await relay.quiesce(old, new, LIMIT_MS)
    lap("quiesce")
    snapshot = await relay.snapshot(old, new, LIMIT_MS, forward_to=new)
    lap("snapshot")
    await relay.restore(new, new, snapshot, LIMIT_MS)
    lap("restore")
    await relay.retire(old, new)
    await relay.lease(new, new, granted=True)
    await relay.accept(new, new)
    lap("roles")
    times_ms["pause"] = (perf_counter() - begin_s) * 1000
    snapshot.close()
    return times_ms


async def measure(case: Case, rounds: int) -> dict[str, list[float]]:
    """All rounds of one case: the times of every stage, and the share of memory that was added while both lived."""
    found: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "extra")}
    with relay_in_a_folder() as (relay, path):
        running = await start(case, relay, path, 1)
        following: Process | None = None
        try:
            for generation in range(1, rounds + 1):
                following = await start(case, relay, path, generation + 1)
                before_kib = running.private_kib() + following.private_kib()
                for stage, time_ms in (await hand_over(relay, generation)).items():
                    found[stage].append(time_ms)
                added_kib = running.private_kib() + following.private_kib() - before_kib
                found["extra"].append(added_kib * 1024 / case.bytes)
                if not following.has_all(case):
                    raise SystemExit(f"the memory was lost: {case}, round {generation}")
                relay.forget(generation)
                running.end()
                running, following = following, None
        finally:
            running.end()
            if following is not None:
                following.end()
    return found


def report(case: Case, found: dict[str, list[float]]) -> None:
    print(f"\n{case.kind}, {case.mebibytes} MiB, {len(found['pause'])} handovers")
    print(f"  {'stage':10} {'min':>9} {'p50':>9} {'p99':>9}  ms")
    for stage in STAGES:
        times_ms = sorted(found[stage])
        bound = PAUSE_MS_MAX.get(case) if stage == "pause" else ROLLBACK_MS_MAX if stage == "rollback" else None
        p99_ms = percentile(times_ms, 99)
        verdict = "" if bound is None else f"   at most {bound:g}: {'kept' if p99_ms <= bound else 'MISSED'}"
        print(f"  {stage:10} {times_ms[0]:9.3f} {percentile(times_ms, 50):9.3f} {p99_ms:9.3f}{verdict}")
    if case.kind == "buffer":
        extra = max(found["extra"])
        print(f"  memory added, at most: {extra:.2%}   at most {EXTRA_SHARE_MAX:.0%}: {extra <= EXTRA_SHARE_MAX}")


def how_busy() -> str:
    """How much of a processor this process gets: on a machine that others use, times are theirs, too."""
    begin_s, begin_cpu_s = perf_counter(), process_time()
    while process_time() - begin_cpu_s < 0.2:
        pass
    return f"{0.2 / (perf_counter() - begin_s):.0%} of a processor free, load {os.getloadavg()[0]:.1f}"


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.supervisor.state_pause", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="handovers of each case (30)")
    parser.add_argument("--mebibytes-max", type=int, default=1024, metavar="N", help="leave out what is larger (1024)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time to this file")
    return parser.parse_args(words)


def main() -> None:
    """Run all cases and print what was promised beside what was measured."""
    options = parse()
    print(describe(Path(tempfile.gettempdir())))
    print(how_busy())
    everything = {}
    for case in CASES:
        if case.mebibytes <= options.mebibytes_max:
            rounds = min(options.rounds, SLOW_ROUNDS_MAX) if case.kind == "json" else options.rounds
            found = asyncio.run(measure(case, rounds))
            report(case, found)
            everything[f"{case.kind}_{case.mebibytes}"] = found
    print(f"\n{how_busy()}")
    if options.json is not None:
        options.json.write_text(json.dumps(everything), encoding="utf-8")


if __name__ == "__main__":
    main()
