"""The reload workloads: a system serves, clients ask, and new releases are put in place one after the other."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from time import monotonic, sleep
from typing import Any

from bench.supervisor.connection import Address
from bench.supervisor.load import LoadProcess, LoadSpec
from bench.supervisor.peers.peer import Peer
from bench.supervisor.question import wait_all_new, wait_serving
from bench.supervisor.records import Outcome, Record
from bench.supervisor.settings import Settings
from bench.supervisor.site import Site, SystemFailed
from bench.supervisor.summary import Around, Summary, percentile, series, summarise, switch

AROUND_S = 2.0
"""Requests sent within so long after a mark count as those around the reload."""
WARM_UP_S = 1.0
FIRST_RELEASE = 1


def reload_open(peer: Peer, site: Site, settings: Settings) -> dict[str, Any]:
    """Requests at a fixed rate, half of them on connections of their own; what the reloads did to them."""
    spec = LoadSpec(Address(port=site.port), rate_per_s=settings.rate_per_s)
    records, marks_s, ended_s, without_effect = _reload_under(peer, site, spec, settings.reloads, settings)
    steady = summarise(records, records[0].sent_s + WARM_UP_S, marks_s[0])
    around = _around(records, marks_s)
    spans = list(pairwise([*marks_s, ended_s]))
    gaps_ms = [summarise(records, since_s, until_s).gap_ms for since_s, until_s in spans]
    switches = [
        switch(records, since_s, until_s, FIRST_RELEASE + number)
        for number, (since_s, until_s) in enumerate(spans, start=1)
    ]
    return {
        **_counts(summarise(records), settings.reloads),
        "gap_ms": max(gaps_ms),
        "gap_median_ms": statistics.median(gaps_ms),
        "steady_p50_ms": steady.p50_ms,
        "steady_p99_ms": steady.p99_ms,
        "steady_gap_ms": steady.gap_ms,
        "around_p99_ms": around[0],
        "around_p999_ms": around[1],
        "new_after_ms": _median(each.new_after_ms for each in switches),
        "old_until_ms": _median(each.old_until_ms for each in switches),
        "without_effect": without_effect,
        "series": [asdict(each) for each in series(records, marks_s, Around())],
    }


def reload_closed(peer: Peer, site: Site, settings: Settings) -> dict[str, Any]:
    """Keep-alive clients that each ask again as soon as they are answered: the hardest for a server to leave."""
    spec = LoadSpec(Address(port=site.port), closed_clients=settings.closed_clients)
    records, marks_s, _, without_effect = _reload_under(peer, site, spec, settings.closed_reloads, settings)
    steady_s = marks_s[0] - records[0].sent_s
    return {
        **_counts(summarise(records), settings.closed_reloads),
        "steady_per_s": summarise(records, until_s=marks_s[0]).requests / steady_s,
        "without_effect": without_effect,
    }


def _reload_under(
    peer: Peer, site: Site, spec: LoadSpec, reloads: int, settings: Settings
) -> tuple[list[Record], list[float], float, int]:
    """The records, the moments at which reloads were asked for, the end, and how many reloads changed nothing."""
    peer.start_web()
    wait_serving(site)
    sleep(WARM_UP_S)
    marks_s: list[float] = []
    without_effect = 0
    with LoadProcess(spec, site.folder) as load:
        load.start()
        sleep(WARM_UP_S + settings.steady_s)
        for number in range(1, reloads + 1):
            release = str(FIRST_RELEASE + number)
            site.deploy(release)
            marks_s.append(monotonic())
            peer.reload()
            if not wait_all_new(site, release):
                without_effect += 1
            sleep(max(0.0, marks_s[-1] + settings.reload_spacing_s - monotonic()))
        ended_s = monotonic()
        records = load.stop()
    if not any(record.outcome is Outcome.OK for record in records):
        raise SystemFailed(f"no request was answered\n{site.last_words()}")
    return records, marks_s, ended_s, without_effect


def _counts(summary: Summary, reloads: int) -> dict[str, Any]:
    return {
        "requests": summary.requests,
        "failed": summary.failed,
        "failed_per_reload": summary.failed / reloads,
        "by_outcome": summary.by_outcome,
    }


def _around(records: Sequence[Record], marks_s: Sequence[float]) -> tuple[float, float]:
    """p99 and p99.9 of the answered requests that were sent soon after any of the marks."""
    latencies_ms = sorted(
        record.latency_ms
        for record in records
        if record.outcome is Outcome.OK and any(mark_s <= record.sent_s < mark_s + AROUND_S for mark_s in marks_s)
    )
    return percentile(latencies_ms, 99), percentile(latencies_ms, 99.9)


def _median(values: Any) -> float:
    seen = [value for value in values if not math.isnan(value)]
    return statistics.median(seen) if seen else math.nan
