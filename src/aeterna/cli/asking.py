"""Asking whoever has the store: the process that owns it, or, where there is none, this one.

The requests are those of ``operations.requests``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aeterna.cli.server_choice import chosen_server
from aeterna.cli.server_requests import ask_server
from aeterna.cli.store_choice import choose_store, require_store
from aeterna.durable.operations.owner import ask_owner
from aeterna.durable.stores.sqlite.glance import Glance
from aeterna.durable.stores.sqlite.run_lines import LineQuery
from aeterna.kernel.errors import UsageError

_LOOKED_AT_MAX = 1_000
_ABOUT = '{"role": "server"}'
"""This process executes nothing."""


def ask(args: argparse.Namespace, request: dict[str, Any], *, creates: bool = False) -> dict[str, Any]:
    """The answer to a request; raises the error it is answered with. ``creates``: the store need not exist yet."""
    server = chosen_server(args)
    if server is not None:
        with server.connect() as client:
            return ask_server(client, request)
    path = choose_store(args.store) if creates else require_store(args.store)
    answer = ask_owner(path, request)
    if answer is not None:
        return answer
    # Nobody has the store open, so this process may write to it. Imported there, because it takes a while.
    return _answer_directly(path, _app_of(path, args.app), request)


def _app_of(path: Path, given: str | None) -> str:
    """The app that is meant: the one that was named, else the only one in the store, else the one it is named after."""
    if given is not None or not path.exists():
        return given or path.stem
    with Glance(path) as glance:
        lines, _ = glance.runs(LineQuery(limit=_LOOKED_AT_MAX))
    apps = sorted({line.namespace for line in lines})
    if len(apps) > 1:
        raise UsageError(f"the store {path} holds the apps {', '.join(apps)}: say which one with --app")
    return apps[0] if apps else path.stem


def _answer_directly(path: Path, app: str, request: dict[str, Any]) -> dict[str, Any]:
    import asyncio
    import os
    import socket

    from aeterna.durable.operations.alone import AloneWorld
    from aeterna.durable.operations.requests import answer
    from aeterna.durable.stores.sqlite import SqliteStore
    from aeterna.kernel.clock import SystemClock

    async def main() -> dict[str, Any]:
        store, clock = SqliteStore(path, app), SystemClock()
        await store.open()
        try:
            # The session of a program that was killed is over, now that this process has the store.
            session = await store.open_session(clock.now_us(), socket.gethostname(), os.getpid(), about=_ABOUT)
            try:
                return await answer(AloneWorld(store, clock, session), request)
            finally:
                await store.close_session(session, clock.now_us())
        finally:
            await store.close()

    return asyncio.run(main())
