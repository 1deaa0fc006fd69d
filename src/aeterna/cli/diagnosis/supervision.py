"""What this machine offers to a supervisor: which bounds on services the kernel enforces, which are only watched."""

from __future__ import annotations

from collections.abc import Iterator

from aeterna.cli.diagnosis import Finding, Verdict
from aeterna.supervisor.host import limits
from aeterna.supervisor.host.limits import LimitSupport

ADVICE = "Only `limits` in aeterna.yaml need it. In a systemd unit: Delegate=yes; in a container: a writable cgroup v2."


def findings() -> Iterator[Finding]:
    """Look at the control groups of this process, which a supervisor started here would use."""
    yield from bounds(limits.detect())


def bounds(support: LimitSupport) -> Iterator[Finding]:
    """One line for everything that is not enforced."""
    lines = support.describe()
    for number, line in enumerate(lines, 1):
        yield Finding(Verdict.WARN, "limits", line, ADVICE if number == len(lines) else "")
    if not lines:
        text = f"memory and cpu limits of services are enforced by the kernel ({support.base})"
        yield Finding(Verdict.OK, "limits", text)
