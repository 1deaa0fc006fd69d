"""The handover workload: how long nobody accepts while memory changes hands, by its size."""

from __future__ import annotations

import json
from time import monotonic, sleep
from typing import Any

from bench.supervisor.connection import Address
from bench.supervisor.load import LoadProcess, LoadSpec
from bench.supervisor.peers.aeterna import AeternaWithMemory
from bench.supervisor.question import wait_all_new, wait_serving
from bench.supervisor.settings import Settings
from bench.supervisor.site import Site, SystemFailed
from bench.supervisor.summary import largest_gap_ms, percentile, summarise

RATE_PER_S = 500.0
WARM_UP_S = 2.0
SPACING_S = 2.0


def handover(settings: Settings) -> dict[str, Any]:
    """Every size in turn; the names of the metrics end with it."""
    found: dict[str, Any] = {}
    for each in settings.remembered:
        with Site() as site:
            figures = _hand_over(AeternaWithMemory(site, each), site, settings.handovers)
        found |= {f"{name}_{each.kind}_{each.mebibytes}": value for name, value in figures.items()}
    return found


def _hand_over(peer: AeternaWithMemory, site: Site, rounds: int) -> dict[str, Any]:
    peer.start_web()
    wait_serving(site)
    pauses_ms, gaps_ms = [], []
    spans = []
    with LoadProcess(LoadSpec(Address(port=site.port), rate_per_s=RATE_PER_S), site.folder) as load:
        load.start()
        sleep(WARM_UP_S)
        for number in range(rounds):
            release = str(number + 2)
            site.deploy(release)
            mark_s = monotonic()
            report = json.loads(peer.reload_with_report())
            if not wait_all_new(site, release):
                raise SystemFailed(f"the reload had no effect: {report}")
            sleep(max(0.0, mark_s + SPACING_S - monotonic()))
            spans.append((mark_s, monotonic()))
            pauses_ms.append(float(report["blackout_ms"]))
        records = load.stop()
    reply = wait_serving(site)
    if reply.born != "1" or reply.end != "1":
        raise SystemFailed(f"the memory was lost: {reply}")
    gaps_ms = [largest_gap_ms(records, *span) for span in spans]
    return {
        "pause_p50_ms": percentile(sorted(pauses_ms), 50),
        "pause_p99_ms": percentile(sorted(pauses_ms), 99),
        "gap_ms": max(gaps_ms),
        "failed": summarise(records).failed,
        "pauses_ms": pauses_ms,
    }
