"""The services of a supervisor: ``aeterna status`` without a run's id."""

from __future__ import annotations

import argparse
import json
from typing import Any

from aeterna.cli import output
from aeterna.cli.exit_codes import FAILED, OK, CodedError
from aeterna.cli.service_lines import services_text, state_text
from aeterna.cli.supervisor_client import TIMEOUT_S, connect

_QUICK_TIMEOUT_S = 3.0


def run(args: argparse.Namespace) -> int:
    """Print the services."""
    if args.quick:
        return _quick(args)
    with connect(args.config, TIMEOUT_S) as client:
        document = client.get("/v1/status")
    if args.json:
        output.print_json(document)
        return OK
    print(services_text(document["services"], output.now_us()))
    for warning in document["warnings"]:
        output.note(warning)
    return OK


def _quick(args: argparse.Namespace) -> int:
    """One line, and exit code 0 or 1 and no other: what a container's health check wants."""
    try:
        with connect(args.config, _QUICK_TIMEOUT_S) as client:
            document = client.get("/v1/status")
    except CodedError as error:
        return _answer(args, is_ready=False, text=str(error))
    unready = [service for service in document["services"] if not service["is_ready"]]
    text = ", ".join(f"{service['name']} is {state_text(service)}" for service in unready) or "ready"
    return _answer(args, is_ready=bool(document["is_ready"]), text=text)


def _answer(args: argparse.Namespace, *, is_ready: bool, text: str) -> int:
    value: dict[str, Any] = {"ready": is_ready, "detail": text}
    print(json.dumps(value) if args.json else text)
    return OK if is_ready else FAILED
