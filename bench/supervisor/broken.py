"""Broken releases: one that does not import, one that crashes a second after its start. What goes on serving?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Any

from bench.supervisor.connection import Address
from bench.supervisor.load import LoadProcess, LoadSpec
from bench.supervisor.peers.peer import Peer
from bench.supervisor.question import wait_serving
from bench.supervisor.records import Outcome, Record
from bench.supervisor.settings import Settings
from bench.supervisor.site import Site, SystemFailed
from bench.supervisor.summary import summarise

AT_THE_END_S = 2.0
STEADY_S = 2.0
LATE_MS = 1000.0
"""An answer that took longer is no good to anybody: a connection that waits for a crashed server's successor."""
GOOD_RELEASE = "1"


def broken(peer: Peer, site: Site, settings: Settings, release: str) -> dict[str, Any]:
    """Deploy the broken release under load and watch; the failures, and the share that is answered at the end."""
    peer.start_web()
    wait_serving(site)
    sleep(1)
    with LoadProcess(LoadSpec(Address(port=site.port), rate_per_s=settings.broken_rate_per_s), site.folder) as load:
        load.start()
        sleep(STEADY_S)
        mark_s = monotonic()
        site.deploy(release)
        refusal = _reload(peer)
        sleep(max(0.0, mark_s + settings.broken_watch_s - monotonic()))
        ended_s = monotonic()
        records = load.stop()
    after = summarise(records, mark_s, ended_s)
    last_ok_s = max((each.ended_s for each in records if each.outcome is Outcome.OK), default=mark_s)
    kept = _kept(records, ended_s - AT_THE_END_S, ended_s)
    return {
        "requests": after.requests,
        "failed": after.failed,
        "late": sum(1 for each in records if each.outcome is Outcome.OK and each.latency_ms > LATE_MS),
        "by_outcome": after.by_outcome,
        "gap_ms": after.gap_ms,
        "kept_percent": kept * 100,
        "down_after_s": last_ok_s - mark_s if last_ok_s < ended_s - AT_THE_END_S else math.nan,
        "told": float(refusal is not None),
        "refusal": refusal or "",
    }


def _kept(records: Sequence[Record], since_s: float, until_s: float) -> float:
    """The share of the requests of that span that the good release answered in time."""
    asked = [each for each in records if since_s <= each.sent_s < until_s]
    good = [each for each in asked if each.release == GOOD_RELEASE and each.latency_ms <= LATE_MS]
    return len(good) / len(asked) if asked else 0.0


def _reload(peer: Peer) -> str | None:
    """Ask for the reload; what the command complained about, or None when it saw nothing wrong."""
    try:
        peer.reload()
    except SystemFailed as refusal:
        return str(refusal).splitlines()[0]
    return None
