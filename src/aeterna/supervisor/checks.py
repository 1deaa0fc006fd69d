"""Commands that must succeed before a release goes live, and hooks that run after one: run, timed, cleaned up after.

They get no socket and no state. What they leave running is killed, wherever it went.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from aeterna.config.spec import CheckSpec
from aeterna.supervisor.host.process_tree import ProcessTree

OUTPUT_BYTES_MAX = 8 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. ``code`` or ``os_signal`` is None; both are if it never ran. ``output``: the end of what it
    wrote; ``problem``: empty if it succeeded."""

    problem: str
    output: str = ""
    code: int | None = None
    os_signal: int | None = None
    has_timed_out: bool = False

    @property
    def is_well(self) -> bool:
        return not self.problem


async def run_command(
    argv: tuple[str, ...], env: Mapping[str, str], timeout_ms: int, *, token: str, cwd: str = ""
) -> Outcome:
    """Run a command in a session of its own, at most ``timeout_ms``. ``token`` marks its processes, so that all of
    them can be found and killed afterwards."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={**env, "AETERNA_INSTANCE": token},
            cwd=cwd or None,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(f"cannot run {argv[0]!r}: {error.strerror}")
    output = bytearray()
    reading = asyncio.ensure_future(_read(process.stdout, output))
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            code = await process.wait()
    except TimeoutError:
        return Outcome(f"did not end within {timeout_ms} ms", _tail(output), has_timed_out=True)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        # Its parent is this process; what lost its parents has the keeper for one.
        ProcessTree(token, process.pid, 0, os.getppid()).kill(signal.SIGKILL)
        if process.returncode is None:
            await process.wait()
        # Somebody may still hold the other end of the pipe; what it would write is not awaited.
        await asyncio.sleep(0)  # noqa: TID251 - one turn of the loop, for what was written already
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - the pipe may outlive the process
    if code < 0:
        return Outcome(f"killed by {signal.Signals(-code).name}", _tail(output), os_signal=-code)
    return Outcome(f"exit code {code}" if code else "", _tail(output), code)


async def run_checks(checks: tuple[CheckSpec, ...], env: Mapping[str, str], *, token: str, cwd: str) -> list[Outcome]:
    """Run checks one after the other; stops after the first that fails and blocks. One outcome per check that ran."""
    outcomes = []
    for check in checks:
        outcome = await run_command(check.command, env, check.timeout_ms, token=token, cwd=cwd)
        outcomes.append(outcome)
        if not outcome.is_well and check.block_on_fail:
            break
    return outcomes


async def _read(stream: asyncio.StreamReader | None, output: bytearray) -> None:
    assert stream is not None
    while data := await stream.read(65536):
        output += data
        del output[:-OUTPUT_BYTES_MAX]


def _tail(output: bytearray) -> str:
    return bytes(output).decode(errors="replace").strip()
