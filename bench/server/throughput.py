"""Runs of ten no-op steps (noop-10) and of one: throughput and latency of each system, each on its own stack."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.server.program import Program, python
from bench.server.sizes import Sizes
from bench.server.stacks import aeterna_server, postgres, restate, workers

Metrics = dict[str, Any]

STEPS = 10
SYSTEMS = ("aeterna-sqlite", "aeterna-postgres", "dbos-sqlite", "dbos-postgres", "restate-granian", "restate-hypercorn")


def noop_50(system: str, sizes: Sizes, folder: Path) -> Metrics:
    """50 in flight."""
    return _measure(system, {"steps": STEPS, "in_flight": 50, "runs": _runs(system, sizes)}, folder)


def noop_1(system: str, sizes: Sizes, folder: Path) -> Metrics:
    """One in flight: the latency of a run of ten steps."""
    return _measure(system, {"steps": STEPS, "in_flight": 1, "runs": sizes.single_runs}, folder)


def start(system: str, sizes: Sizes, folder: Path) -> Metrics:
    """One in flight, one step: from the start to the result."""
    return _measure(system, {"steps": 1, "in_flight": 1, "runs": sizes.starts}, folder)


def noop_50_apart(system: str, sizes: Sizes, folder: Path) -> Metrics:
    """50 in flight, client and worker of Aeterna in processes of their own."""
    order = {"steps": STEPS, "in_flight": 50, "runs": sizes.aeterna_runs}
    with _database(system, folder) as db, aeterna_server(db) as (server, _), workers(server, 1):
        return _answer("bench.server.aeterna_program", {"does": "load", "server": server, **order})


def _runs(system: str, sizes: Sizes) -> int:
    runs = {"aeterna": sizes.aeterna_runs, "dbos": sizes.dbos_runs, "restate": sizes.restate_runs}
    return runs[system.partition("-")[0]]


def _measure(system: str, order: dict[str, Any], folder: Path) -> Metrics:
    name, _, variant = system.partition("-")
    if name == "restate":
        with restate(variant, folder) as port:
            return _answer("bench.server.restate_program", {"port": port, **order})
    with _database(system, folder) as db:
        if name == "dbos":
            return _answer("bench.server.dbos_program", {"database": db, **order})
        with aeterna_server(db) as (server, _):
            return _answer("bench.server.aeterna_program", {"does": "both", "server": server, **order})


@contextlib.contextmanager
def _database(system: str, folder: Path) -> Iterator[str]:
    if system.endswith("-postgres"):
        with postgres() as server:
            yield (
                server.url.replace("postgresql://", "postgresql+psycopg://")
                if system.startswith("dbos")
                else server.url
            )
    else:
        yield f"sqlite:///{folder / 'store.db'}"


def _answer(module: str, order: dict[str, Any]) -> Metrics:
    with Program(python(module, order)) as program:
        return program.answer()


def scaling(system: str, sizes: Sizes, folder: Path) -> Metrics:
    """Throughput with 1, 2 and 4 workers and 1 and 2 servers over one PostgreSQL; 50 in flight for each worker."""
    return {
        f"{servers}_servers_{count}_workers": _scaled(servers, count, sizes)
        for servers in (1, 2)
        for count in (1, 2, 4)
    }


def _scaled(servers: int, count: int, sizes: Sizes) -> float:
    with postgres() as database, contextlib.ExitStack() as life:
        addresses = [life.enter_context(aeterna_server(database.url))[0] for _ in range(servers)]
        for number in range(count):
            life.enter_context(workers(addresses[number % servers], 1))
        load = {
            "does": "load",
            "steps": STEPS,
            "in_flight": 50 * count // servers,
            "runs": sizes.scaling_runs // servers,
        }
        programs = [
            life.enter_context(Program(python("bench.server.aeterna_program", {"server": address, **load})))
            for address in addresses
        ]
        answers = [program.answer() for program in programs]
    return sum(float(each["steps_per_s"]) for each in answers)
