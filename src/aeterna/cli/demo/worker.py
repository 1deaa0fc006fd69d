"""The process that does the demo's work and gets killed: opens the store, starts the run or goes on with it.

``python -m aeterna.cli.demo.worker --dir DIR``; AETERNA_STORE names the store. Starting is idempotent by
workflow id, so the command is the same in every life.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from aeterna.cli.demo.job import Desk, app, research
from aeterna.cli.demo.places import RUN_ID, Places


async def work(desk: Desk, question: str) -> None:
    """Bring the run to its end in this process and write its result to a file."""
    async with app:
        answer = await research.options(workflow_id=RUN_ID).start_and_wait(desk, question)
    Places(Path(desk.directory)).answer.write_text(
        json.dumps(asdict(answer), indent=2, ensure_ascii=False), encoding="utf-8"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and work; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the demo's directory")
    parser.add_argument("--question", required=True, help="what to answer")
    parser.add_argument("--pace-ms", type=int, default=0, help="mean think time of a step")
    args = parser.parse_args(argv)
    asyncio.run(work(Desk(str(args.dir), args.pace_ms), args.question))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
