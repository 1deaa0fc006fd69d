"""What became of each reload: one record with a verdict, a reason, the time every phase took and the last output.

A report is opened when a handover begins and closed exactly once. The last `REPORTS_MAX` are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from aeterna.supervisor.control.contract import HandoverSummary, PhaseDocument, ReloadReport, ReloadResult

REPORTS_MAX = 50


class Phase(Struct, kw_only=True):
    """A state the handover was in; ``duration_ms`` is below 0 while it lasts."""

    name: str
    started_ms: float
    duration_ms: float = -1.0


class Report(Struct, kw_only=True):
    """One reload. Times are wall-clock microseconds, durations milliseconds.

    ``serving_ms``: from the request to the moment the new generation was first given connections; ``blackout_ms``: how
    long nobody accepted.
    """

    id: str
    service: str
    txn: int
    requested_by: str = ""
    note: str = ""
    from_generation: int = 0
    to_generation: int = 0
    started_us: int = 0
    ended_us: int = 0
    result: ReloadResult | None = None
    reason: str = ""
    phases: list[Phase] = []
    serving_ms: float = 0.0
    blackout_ms: float = 0.0
    state_bytes: int = 0
    tail: list[str] = []

    def enter(self, name: str, now_us: int) -> None:
        """The handover is in another state now."""
        since_ms = round((now_us - self.started_us) / 1000, 1)
        if self.phases and self.phases[-1].duration_ms < 0:
            self.phases[-1].duration_ms = round(since_ms - self.phases[-1].started_ms, 1)
        if name:
            self.phases.append(Phase(name=name, started_ms=since_ms))

    def duration_ms(self, now_us: int) -> float:
        return round(((self.ended_us or now_us) - self.started_us) / 1000, 1)


class Reports:
    """The reloads of one supervisor, oldest first."""

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}

    def __iter__(self) -> Iterator[Report]:
        return iter(self._reports.values())

    def open(self, report: Report) -> Report:
        """Begin a report; the oldest one is forgotten where there are too many."""
        self._reports[report.id] = report
        while len(self._reports) > REPORTS_MAX:
            del self._reports[next(iter(self._reports))]
        return report

    def close(self, report: Report, result: ReloadResult, reason: str, now_us: int) -> bool:
        """Say how it ended. The first verdict stays: returns whether this is it."""
        if report.result is not None:
            return False
        report.result, report.reason, report.ended_us = result, reason, now_us
        report.enter("", now_us)
        return True

    def find(self, report_id: str) -> Report | None:
        return self._reports.get(report_id)

    def last_ended(self, service: str) -> Report | None:
        """The newest report of a service that has a verdict."""
        mine = (each for each in reversed(self._reports.values()) if each.service == service and each.result)
        return next(mine, None)

    def ids(self) -> tuple[str, ...]:
        return tuple(self._reports)

    def record(self) -> list[dict[str, Any]]:
        """All of them as JSON has it, for the record that outlives the daemon."""
        plain: list[dict[str, Any]] = msgspec.to_builtins(list(self._reports.values()))
        return plain

    def recover(self, plain: list[dict[str, Any]]) -> None:
        """Go on with the reports of a predecessor."""
        for report in msgspec.convert(plain, list[Report]):
            self.open(report)


def document(report: Report, now_us: int) -> ReloadReport:
    """The report as the control API shows it."""
    phases = [
        PhaseDocument(
            phase=each.name,
            started_ms=each.started_ms,
            duration_ms=each.duration_ms if each.duration_ms >= 0 else None,
        )
        for each in report.phases
    ]
    return ReloadReport(
        id=report.id,
        service=report.service,
        result=report.result,
        reason=report.reason,
        from_generation=report.from_generation,
        to_generation=report.to_generation,
        started_at=iso(report.started_us),
        finished_at=iso(report.ended_us) if report.ended_us else None,
        duration_ms=report.duration_ms(now_us),
        phases=phases,
        state_bytes=report.state_bytes,
        blackout_ms=report.blackout_ms,
        requested_by=report.requested_by,
        tail=report.tail,
    )


def summary(report: Report) -> HandoverSummary:
    """The report in one row."""
    return HandoverSummary(
        id=report.id,
        status=report.result or "",
        reason=report.reason,
        timestamp=iso(report.ended_us),
        size_bytes=report.state_bytes,
        duration_ms=report.duration_ms(report.ended_us),
    )


def iso(at_us: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
