"""What one daemon leaves to the next: where every service stood, as one versioned JSON document.

The keeper holds it. Descriptors are not in it: the keeper holds them under names that follow from what is. A record of
another version is not read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec
from msgspec import Struct

from aeterna.config.spec import Plan, ServiceSpec
from aeterna.supervisor.core.records import Machine
from aeterna.supervisor.core.vocabulary import State
from aeterna.supervisor.endings import Ending
from aeterna.supervisor.instances import InstanceRecord

VERSION = 1


class ServiceRecord(Struct, kw_only=True):
    """One service. ``snapshot``: the manifest of the stored memory, empty if there is none."""

    name: str
    machine: dict[str, Any]
    good: ServiceSpec
    previous: ServiceSpec | None
    wanted: ServiceSpec
    instances: list[InstanceRecord]
    restarts: int
    last_ending: Ending | None = None
    percent: int
    report: str
    is_stopping: bool
    snapshot: dict[str, Any]


class Record(Struct, kw_only=True):
    """Everything."""

    version: int
    started_us: int
    plan: Plan
    services: list[ServiceRecord]
    reports: list[dict[str, Any]]


def encode(record: Record) -> bytes:
    """The record as JSON."""
    return msgspec.json.encode(record)


def decode(data: bytes) -> Record | None:
    """The record; None if another version of the daemon wrote it, or it is no record."""
    try:
        if msgspec.json.decode(data).get("version") != VERSION:
            return None
        return msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, AttributeError):
        return None


def plain_machine(machine: Machine) -> dict[str, Any]:
    """The machine as JSON has it."""
    return {**asdict(machine), "state": machine.state.name}


def machine_of(plain: dict[str, Any]) -> Machine:
    """The machine of that JSON."""
    return Machine(**{**plain, "state": State[plain["state"]], "deaths_ms": tuple(plain["deaths_ms"])})
