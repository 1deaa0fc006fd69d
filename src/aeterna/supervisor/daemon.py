"""The daemon: gathers events, lets the core decide, performs the actions. Everything it holds, the keeper holds too.

Run by the keeper as ``python -m aeterna.supervisor.daemon``. It can be killed at any moment: its successor goes on from
the record and the descriptors that the keeper hands over.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from aeterna.config import spec as plans
from aeterna.config.spec import Plan
from aeterna.kernel.clock import SystemClock
from aeterna.supervisor.host.keeping import KEEPER_FD_VARIABLE, UPGRADE_EXIT_CODE, Keeping
from aeterna.supervisor.supervisor import StartOrder, Supervisor


def main(argv: Sequence[str] | None = None) -> int:
    """Run until the services have ended or the keeper has gone; returns the exit code."""
    args = _parser().parse_args(argv)
    return asyncio.run(_run(args, plans.decode(Path(args.plan).read_bytes())))


async def _run(args: argparse.Namespace, plan: Plan) -> int:
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[int] = asyncio.Queue()
    for each in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(each, asked.put_nowait, int(each))
    keeping = await Keeping.connect(int(os.environ[KEEPER_FD_VARIABLE]))
    order = StartOrder(Path(args.directory), args.option, _environment(), args.stay)
    chance = random.Random(os.getrandom(16))  # seeded by the machine, once, here
    supervisor = Supervisor(keeping, plan, order, SystemClock(), chance)
    code = await supervisor.run(asked)
    if code == UPGRADE_EXIT_CODE:
        return code
    await keeping.finish(code)
    return 0


def _environment() -> dict[str, str]:
    """What services inherit: the starter's environment, without what concerns the daemon alone."""
    return {key: value for key, value in os.environ.items() if key != KEEPER_FD_VARIABLE}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aeterna.supervisor.daemon", description="Run by the keeper, not by people.")
    parser.add_argument("--directory", required=True, help="where the sockets are")
    parser.add_argument("--plan", required=True, help="file with the plan, as JSON")
    parser.add_argument("--option", action="append", default=[], help="for reading the configuration anew")
    parser.add_argument("--stay", action="store_true", help="wait for a reload when every service has ended")
    return parser


if __name__ == "__main__":
    sys.exit(main())
