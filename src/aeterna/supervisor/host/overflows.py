"""How many connections found a full accept queue, as the kernel counts them for this network namespace."""

from __future__ import annotations

from pathlib import Path

NETSTAT = Path("/proc/net/netstat")


def listen_overflows(netstat: Path = NETSTAT) -> int:
    """The count since the namespace began; 0 where the system does not tell. Listeners of others are in it."""
    try:
        lines = netstat.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        found = dict(zip(names.split(), values.split(), strict=False))
        if "ListenOverflows" in found:
            return int(found["ListenOverflows"])
    return 0
