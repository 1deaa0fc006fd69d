"""Services as people see them: one row each, and below the table what needs attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aeterna.cli import output

_HEADS = ("SERVICE", "STATE", "GEN", "PID", "UPTIME", "RESTARTS", "WEIGHT", "MEMORY", "LAST RELOAD")
_WELL = frozenset({"RUNNING", "STOPPED"})


def services_text(services: Sequence[Mapping[str, Any]], now_us: int) -> str:
    """The table, and a line for each service that is not well or has something to say."""
    rows = [_row(service, now_us) for service in services]
    remarks = [f"{service['name']}: {text}" for service in services if (text := _remark(service, now_us))]
    return "\n".join([output.table(_HEADS, rows, {"SERVICE": output.cut_middle}), *remarks])


def state_text(service: Mapping[str, Any]) -> str:
    """The public phase, and whether it answers."""
    phase = str(service["phase"])
    return phase if service["is_ready"] or phase != "RUNNING" else f"{phase}, not ready"


def _row(service: Mapping[str, Any], now_us: int) -> tuple[str, ...]:
    pid = "-" if service["pid"] is None else str(service["pid"])
    if service["old_pid"] is not None and service["old_pid"] != service["pid"]:
        pid = f"{pid} (old {service['old_pid']})"
    uptime = service["uptime_s"]
    memory = service["memory_bytes"]
    return (
        str(service["name"]),
        state_text(service),
        str(service["generation"] or "-"),
        pid,
        "-" if uptime is None else output.duration(max(round(uptime), 1) * output.US_PER_S),
        str(service["restarts"]),
        f"{service['weight']} %",
        "-" if memory is None else output.bytes_text(memory),
        _last_reload(service, now_us),
    )


def _last_reload(service: Mapping[str, Any], now_us: int) -> str:
    if service["reload"]:
        return f"{service['reload']} under way"
    last = service["last_handover"]
    if last is None:
        return "-"
    return f"{str(last['status']).replace('_', ' ')} {output.distance(_at_us(last['timestamp']), now_us)}"


def _remark(service: Mapping[str, Any], now_us: int) -> str:
    parts = [str(service["detail"])]
    if service["last_exit"] and (service["phase"] not in _WELL or service["restarts"]):
        when = f" {output.distance(_at_us(service['last_exit_at']), now_us)}" if service["last_exit_at"] else ""
        parts.append(f"last process: {service['last_exit']}{when}")
    words = service["last_words"] if service["phase"] not in _WELL else ()
    return "\n".join(["; ".join(filter(None, parts)), *(f"  | {_harmless(word)}" for word in words)]).rstrip()


def _harmless(text: str) -> str:
    """Without what would command the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _at_us(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * output.US_PER_S)
