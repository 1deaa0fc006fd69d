"""A process of its own that writes to a store and prints what was acknowledged, and how to start it.

``python -m tests.stores.writer_process PATH COMMITS``: each commit appends one event to each of three runs; after each,
the number of commits acknowledged is printed. With COMMITS 0 it goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aeterna.durable.stores.contract import Append
from aeterna.durable.stores.sqlite import SqliteStore
from tests.stores.samples import add_run, steps

RUNS = ("A", "B", "C")
ROOT = Path(__file__).parents[2]


@contextmanager
def writing(path: Path, commits: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.stores.writer_process", str(path), str(commits)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_acknowledged(process: subprocess.Popen[bytes], count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        assert process.stdout.readline()


async def main(path: Path, commits: int) -> None:
    store = SqliteStore(path)
    await store.open()
    keys = [await add_run(store, run_id) for run_id in RUNS]
    for number in range(1, commits + 1) if commits else itertools.count(1):
        await store.commit([Append(key, 0, number, steps(number), 300) for key in keys])
        os.write(1, f"{number}\n".encode())
    # Held open, so that the WAL is left as it is, until whoever started this process kills it.
    sys.stdin.read()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
