"""What the commands that change a service share: waiting for the end of what they have begun, and telling it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import FAILED, OK, START_FAILED
from aeterna.cli.reload_report import CODES, show_progress, verdict, whole
from aeterna.cli.supervisor_client import SupervisorClient

Service = Mapping[str, Any]


def finish_reload(
    client: SupervisorClient,
    reload_id: str,
    *,
    as_json: bool,
    with_report: bool = False,
    wanted: frozenset[str] = frozenset(),
) -> int:
    """Wait for the verdict of a reload, show it, and return its exit code; a result in ``wanted`` is a success."""
    report = show_progress(client.follow_reload(reload_id), is_quiet=as_json)
    code = OK if report["result"] in wanted else CODES.get(report["result"], FAILED)
    if as_json:
        output.print_json({key: value for key, value in report.items() if key != "event_id"})
    elif with_report:
        print(whole(report))
    else:
        print(verdict(report), file=sys.stdout if code == OK else sys.stderr)
    return code


def wait_for(client: SupervisorClient, name: str, is_settled: Callable[[Service], bool]) -> Service:
    """The service's document as soon as it is settled."""
    return next(service for service in client.follow_service(name) if is_settled(service))


def tell_started(service: Service, *, as_json: bool) -> int:
    """Show how a start ended; the exit code says whether the service runs."""
    has_started = service["state"] == "RUNNING"
    if as_json:
        output.print_json({"service": service["name"], "state": service["state"], "pid": service["pid"]})
    elif has_started:
        print(f"{service['name']}: running, pid {service['pid']}")
    else:
        why = "; ".join(filter(None, (service["last_exit"], service["detail"])))
        output.note(
            f"{service['name']}: {service['phase'].lower()} ({why}); `aeterna logs {service['name']}` says more"
        )
    return OK if has_started else START_FAILED
