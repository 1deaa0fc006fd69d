"""What a program sees when its store is in trouble, and what becomes of its runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from aeterna import App, Context
from aeterna.durable.engine.cancellation import cancel_claimed
from aeterna.kernel import errors

HERE = Path(__file__).parent


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)


def make_app(path: Path) -> App:
    app = App("trouble", store=f"sqlite:///{path}")

    @app.workflow
    async def flow(ctx: Context, n: int) -> int:
        return n

    return app


def test_a_full_disk_is_a_clear_error_and_nothing_is_lost_or_repeated(tmp_path: Path) -> None:
    """Waiting callers and new starts get StoreFullError; once there is room, every run ends, and no finished step ran
    again."""
    done = run_python(str(HERE / "full_disk.py"), str(tmp_path / "full.db"))
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["during"] == ["StoreFullError"]
    assert seen["refused"].startswith("StoreFullError")
    assert str(tmp_path) in seen["refused"]
    assert seen["after"] == [100_000] * 20
    assert seen["executions"] == list(range(20))


async def test_a_second_process_on_the_same_file_is_refused_by_name(tmp_path: Path) -> None:
    """The error names the file and the process that has it; the first one is not disturbed."""
    path = tmp_path / "one.db"
    app = make_app(path)
    program = f"from aeterna import App\nimport asyncio\nasyncio.run(App('trouble', store='sqlite:///{path}').engine())"
    async with app:
        done = await asyncio.to_thread(run_python, "-c", program)
        assert "StoreLockedError" in done.stderr
        assert str(path) in done.stderr
        assert await app.find_workflow("flow").start_and_wait(3) == 3


async def test_a_store_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    """Both versions are named, and not a byte of the file changes."""
    path = tmp_path / "new.db"
    async with make_app(path):
        pass
    with apsw.Connection(str(path)) as db:
        version = db.pragma("user_version")
        db.pragma("user_version", version + 7)
    before = path.read_bytes()
    with pytest.raises(errors.StoreTooNewError, match=str(version + 7)):
        async with make_app(path):
            pass
    assert path.read_bytes() == before


async def test_a_damaged_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Garbage where the database was is StoreCorruptError with the path."""
    path = tmp_path / "bad.db"
    path.write_bytes(b"this is no database" * 500)
    before = path.read_bytes()
    with pytest.raises(errors.StoreCorruptError, match=r"bad\.db"):
        async with make_app(path):
            pass
    assert path.read_bytes() == before


async def test_a_run_of_an_unregistered_workflow_waits_with_the_reason(tmp_path: Path) -> None:
    """A process without the code leaves the run as it is and says why; one that has it finishes the run."""
    path = tmp_path / "other.db"
    first = App("trouble", store=f"sqlite:///{path}")

    @first.workflow(name="flow", version="1")
    async def old(ctx: Context, n: int) -> int:
        await ctx.sleep(0.05)
        return n

    async with first:
        handle = await old.options(workflow_id="w").start(7)
    second = App("trouble", store=f"sqlite:///{path}")

    @second.workflow(name="flow", version="2")
    async def new(ctx: Context, n: int) -> int:
        return -n

    async with second:
        engine = await second.engine()
        await engine.claims.fetch("w")
        with pytest.raises(errors.UnknownWorkflowError, match="register that version too"):
            await second.handle("w").result(timeout=10)
        row = await second.handle("w").status()
        assert (row.state, row.detail) == ("RUNNING", "stuck")
        assert "pinned to version '1'" in row.note
        assert "'2'" in row.note
    async with first:
        assert await handle.result(timeout=10) == 7


@pytest.mark.parametrize("is_live", [True, False])
async def test_cancelling_a_stuck_run_ends_it(tmp_path: Path, is_live: bool) -> None:
    """Its code no longer fits, so nothing can clean up: it ends CANCELLED, when asked or at the next start."""
    store = f"sqlite:///{tmp_path}/stuck.db"

    def app_with(step: str) -> App:
        app = App("trouble", store=store)

        @app.workflow
        async def flow(ctx: Context) -> None:
            await ctx.step(step, int)
            await ctx.sleep(3600)

        return app

    async with app_with("before") as app:
        handle = await app.find_workflow("flow").options(workflow_id="s").start()
        async with asyncio.timeout(10):
            while (await handle.status()).detail != "sleeping":
                await (await app.engine()).journal.barrier()
    async with app_with("after") as app:
        engine = await app.engine()
        await engine.claims.fetch("s")
        await engine.journal.barrier()
        assert (await app.handle("s").status()).detail == "stuck"
        if is_live:
            await app.handle("s").cancel("no use")
            with pytest.raises(errors.WorkflowCancelledError, match="no use"):
                await app.handle("s").result(timeout=10)
        else:
            row = await engine.store.claim_run(engine.session, "s")
            assert row is not None
            assert await cancel_claimed(engine.store, row, 1, "no use")
    async with app_with("after") as app:
        with pytest.raises(errors.WorkflowCancelledError, match="no use"):
            await app.handle("s").result(timeout=10)


async def test_finished_runs_are_deleted_once_they_are_old_enough(tmp_path: Path) -> None:
    """Retention counts from the end of a run; unfinished ones stay, however old."""
    store = f"sqlite:///{tmp_path}/old.db"

    def app_with(retention: float | None) -> App:
        app = App("trouble", store=store, retention=retention)

        @app.workflow
        async def flow(ctx: Context, pause_s: float) -> None:
            if pause_s:
                await ctx.sleep(pause_s)

        return app

    async with app_with(None) as app:
        flow = app.find_workflow("flow")
        await flow.options(workflow_id="done").start_and_wait(0)
        await flow.options(workflow_id="asleep").start(3600)
    async with app_with(3600) as app:
        assert (await app.handle("done").status()).state == "COMPLETED"
    async with app_with(0) as app:
        store_now = (await app.engine()).store
        async with asyncio.timeout(10):
            while await store_now.get_run("done") is not None:
                await (await app.engine()).journal.barrier()
        assert (await app.handle("asleep").status()).state == "RUNNING"
