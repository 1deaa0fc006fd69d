"""What the SQLite store keeps when its process dies, wherever the write-ahead log was cut."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from pathlib import Path

import apsw

from aeterna.durable.stores.sqlite import SqliteStore
from aeterna.durable.stores.sqlite.connections import open_writer
from aeterna.durable.stores.sqlite.reader import Queries
from tests.stores.samples import append, created, steps
from tests.stores.writer_process import RUNS, wait_acknowledged, writing

WAL_HEADER = 32
FRAME_HEADER = 24


def read_rest(process: subprocess.Popen[bytes]) -> int:
    """The last number a killed process got out."""
    assert process.stdout is not None
    numbers = [line for line in process.stdout.read().split(b"\n")[:-1] if line]
    return int(numbers[-1]) if numbers else 0


async def test_what_a_killed_writer_had_acknowledged_is_all_there(tmp_path: Path) -> None:
    """SIGKILL in a burst; every acknowledged commit is whole, at most one more is there, and writing goes on."""
    path = tmp_path / "store.db"
    with writing(path) as process:
        wait_acknowledged(process, 200)
        process.kill()
        acknowledged = max(200, read_rest(process))
    store = SqliteStore(path)
    await store.open()
    lengths = {len(await store.history(run_id)) - 1 for run_id in RUNS}
    assert len(lengths) == 1
    assert lengths <= {acknowledged, acknowledged + 1}
    (written,) = lengths
    assert await store.history("B") == [created(), *steps(1, written)]
    row = await store.get_run("A")
    assert row is not None
    await store.commit([append(row.key, row.length, 0)])
    assert await store.check() == []
    await store.close()


def commit_ends(wal: bytes) -> list[int]:
    """Where in the log each commit is complete: after each frame whose header says how large the database is then."""
    page_size = struct.unpack(">I", wal[8:12])[0]
    salts = wal[16:24]
    ends = []
    for start in range(WAL_HEADER, len(wal) - FRAME_HEADER - page_size + 1, FRAME_HEADER + page_size):
        _, pages_after = struct.unpack(">II", wal[start : start + 8])
        if wal[start + 8 : start + 16] != salts:
            break  # Left over from before the log was started anew.
        if pages_after:
            ends.append(start + FRAME_HEADER + page_size)
    return ends


def recovered_lengths(path: Path) -> set[int]:
    """Open the store as the engine does, check that histories are what was written, and return how long they are."""
    db = open_writer(path, "full")
    queries = Queries(db, path, "default")
    lengths = set()
    for run_id in RUNS:
        events = queries.history(run_id, 0)
        assert events == [created(), *steps(1, len(events) - 1)]
        lengths.add(len(events) - 1)
    # Without this, closing would copy the log into the database and sync it: thousands of times.
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    queries.close()
    return lengths


def cuts(ends: list[int], frame: int) -> list[int]:
    """Where to cut, longest first: every byte of the last two frames; of those before, back to the last commit but two,
    every byte of the header and around the end, and every 16th byte of the page."""
    stop, start = ends[-1], ends[-3]
    last = range(stop - 2 * frame, stop)
    return [
        cut
        for cut in range(stop - 1, start - 1, -1)
        if cut in last or (cut - WAL_HEADER) % frame in {*range(FRAME_HEADER + 2), frame - 1} or cut % 16 == 0
    ]


def test_a_log_cut_anywhere_in_its_last_commits_recovers_to_a_committed_prefix(tmp_path: Path) -> None:
    """The writer is stopped in its burst, its files are copied; each cut opens and holds just the complete commits."""
    live, copy = tmp_path / "live.db", tmp_path / "copy.db"
    log = tmp_path / "copy.db-wal"
    with writing(live) as process:
        wait_acknowledged(process, 20)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        shutil.copy(live, copy)
        shutil.copy(tmp_path / "live.db-wal", log)
    wal = log.read_bytes()
    ends = commit_ends(wal)
    (last,) = recovered_lengths(copy)
    assert last >= 20
    frame = FRAME_HEADER + struct.unpack(">I", wal[8:12])[0]
    for cut in cuts(ends, frame):
        os.truncate(log, cut)
        complete = sum(end <= cut for end in ends)
        assert recovered_lengths(copy) == {last - (len(ends) - complete)}, f"cut at byte {cut} of {len(wal)}"
