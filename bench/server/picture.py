"""A picture of how throughput grows with workers and servers, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(path: Path, metrics: dict[str, Any]) -> None:
    """``metrics``: steps per second by ``S_servers_W_workers``; one line for each number of servers."""
    import matplotlib as mpl  # Takes half a second, and only a picture needs it.

    mpl.use("svg")
    from matplotlib import pyplot as plt

    lines: dict[int, list[tuple[int, float]]] = {}
    for name, value in metrics.items():
        servers, _, workers, _ = name.split("_")
        lines.setdefault(int(servers), []).append((int(workers), value))
    figure, axes = plt.subplots(figsize=(6, 4))
    for servers, points in sorted(lines.items()):
        xs, ys = zip(*sorted(points), strict=True)
        axes.plot(xs, ys, marker="o", label=f"{servers} server{'s' if servers > 1 else ''}")
    axes.set(xlabel="workers (50 runs in flight for each)", ylabel="steps/s", ylim=(0, None),
             title="Runs of 10 no-op steps over one PostgreSQL, all on one machine")  # fmt: skip
    axes.set_xticks([1, 2, 4])
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format=path.suffix.removeprefix(".") or "svg", bbox_inches="tight")
    plt.close(figure)
