"""The picture: latency and failures around the reload, one strip for each system on the same axes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from bench.supervisor.results import Rounds
from bench.supervisor.summary import Around

WORST, MEDIAN, FAILED = "#2f7d5b", "#9bc7b3", "#b3463c"
STRIP_INCHES, WIDTH_INCHES = 1.15, 10
LABEL = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
LATENCY_RANGE_MS = (0.1, 20_000)


def draw(path: Path, rounds: Rounds) -> bool:
    """Write the picture (SVG or PNG, by the file's suffix); False if there is nothing to draw."""
    import matplotlib as mpl  # takes half a second, and only this needs it

    mpl.use("agg")
    from matplotlib import pyplot as plt

    systems = {name: each[0]["series"] for name, each in rounds.get("reload", {}).items() if each}
    if not systems:
        return False
    size = (WIDTH_INCHES, STRIP_INCHES * len(systems) + 1)
    figure, axes = plt.subplots(len(systems), sharex=True, sharey=True, squeeze=False, figsize=size)
    for axis, (name, series) in zip(axes[:, 0], systems.items(), strict=True):
        _strip(axis, name, series)
    axes[-1, 0].set_xlabel("seconds since the reload was asked for (all reloads laid over each other)")
    figure.suptitle("Latency around a reload: worst and median of each 50 ms; red: requests that failed")
    figure.supylabel("milliseconds")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
    return True


def _strip(axis: Any, name: str, series: list[dict[str, Any]]) -> None:
    around = Around()
    middles_s = [each["offset_s"] + around.width_s / 2 for each in series]
    axis.plot(middles_s, [each["worst_ms"] for each in series], color=WORST, linewidth=1.2)
    axis.plot(middles_s, [each["p50_ms"] for each in series], color=MEDIAN, linewidth=1.2)
    for each in series:
        if each["failed"]:
            start_s = each["offset_s"]
            axis.axvspan(start_s, start_s + around.width_s, color=FAILED, alpha=_shade(each), linewidth=0)
    axis.axvline(0, color="#777777", linewidth=0.8, linestyle=":")
    axis.set_yscale("log")
    axis.set_ylim(*LATENCY_RANGE_MS)
    axis.set_xlim(-around.before_s, around.after_s)
    axis.set_yticks([0.1, 1, 10, 100, 1000, 10000], ["0.1", "1", "10", "100", "1 s", "10 s"])
    failed = sum(each["failed"] for each in series)
    axis.text(0.995, 0.9, f"{name}: {failed:,} failed", transform=axis.transAxes, ha="right", va="top", bbox=LABEL)
    axis.grid(axis="y", color="#eeeeee")


def _shade(each: dict[str, Any]) -> float:
    """One failure is to be seen; a slice in which everything failed is dark."""
    return 0.25 + 0.6 * math.sqrt(each["failed"] / each["requests"])
