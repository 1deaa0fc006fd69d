"""Asking a service how it is: by HTTP, by connecting, or by a command.

May not know what an answer leads to, nor how many answers make a verdict. The invariants: a probe ends within its
timeout and raises nothing but its cancellation; `Sample.FAILED` is only what the service itself has caused, and our own
trouble in asking is `Sample.UNKNOWN`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import assert_never

from aeterna.config.spec import ProbeKind, ProbeSpec
from aeterna.kernel.errors import AeternaError
from aeterna.supervisor.core.health import Sample
from aeterna.supervisor.host import http_probe
from aeterna.supervisor.host.dialing import Address, Source, UnansweredError, dial, read_address, show_address

_CLOSE_WAIT_S = 0.05
"""How long a server that was asked to close the connection may take, before we reset it."""

_TICK_S = 0.05
_STALL_SHARE_MAX = 0.25
"""A loop that stood still for more than this share of the timeout cannot say that the service was slow."""

_SPAWN_GRACE_S = 2.0
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command ended: its exit code or the OS signal that ended it, and the last part of what it wrote."""

    code: int | None
    os_signal: int | None = None
    output: str = ""
    has_timed_out: bool = False


Spawn = Callable[[tuple[str, ...], Mapping[str, str], int], Awaitable[ExecResult]]
"""Runs a command with an environment and ends it, and all it started, after a timeout in milliseconds.
Raises `OSError` or `AeternaError` if it cannot be started."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What a probe needs to know of its service. ``default_address``: where paths are asked, and where to connect
    without an address; ``source``: the local address that makes steering send the connection to the wanted
    generation; ``env`` and ``spawn`` are for commands."""

    default_address: Address | None = None
    source: Source | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    spawn: Spawn | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe brought. ``latency_ms``: from its start to the end of the answer; ``detail``: one line for
    people, which names what was asked and what came of it."""

    sample: Sample
    latency_ms: float
    detail: str


async def probe(spec: ProbeSpec, target: ProbeTarget) -> ProbeResult:
    """Ask once. Takes at most the spec's timeout and a little; raises nothing.

    A probe of kind TCP proves that somebody listens: on a socket that the supervisor holds, that is always so.
    """
    watch = _Watch()
    try:
        async with asyncio.timeout(spec.timeout_ms / 1000) as deadline:
            watch.deadline = deadline
            sample, detail = await _ask(spec, target, watch)
    except UnansweredError as failure:
        sample, detail = failure.sample, failure.detail
    except TimeoutError:
        sample, detail = _judge_timeout(spec.timeout_ms, watch)
    finally:
        watch.stop()
    return ProbeResult(sample, watch.duration_ms, detail)


async def _ask(spec: ProbeSpec, target: ProbeTarget, watch: _Watch) -> tuple[Sample, str]:
    try:
        match spec.kind:
            case ProbeKind.HTTP:
                return await _ask_http(spec, target, watch)
            case ProbeKind.TCP:
                return await _ask_tcp(spec, target, watch)
            case ProbeKind.EXEC:
                return await _ask_exec(spec, target, watch)
            case _:
                assert_never(spec.kind)
    except ValueError as error:
        raise UnansweredError(Sample.UNKNOWN, f"the probe cannot be made: {error}") from error


async def _ask_http(spec: ProbeSpec, target: ProbeTarget, watch: _Watch) -> tuple[Sample, str]:
    question = http_probe.read_url(spec.url or "/", target.default_address)
    with await dial(question.address, target.source, watch) as sock:
        answer = await http_probe.ask(sock, question, watch)
        watch.answered()
        if answer.is_whole:
            # The server closes first, so that it sees an orderly end; what then remains is reset.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_WAIT_S):
                    await http_probe.wait_end(sock)
    said = f"GET {question.target}: {answer.status} {answer.reason}".rstrip()
    if 200 <= answer.status < 400:
        return Sample.OK, said
    return Sample.FAILED, f"{said}: {_one_line(answer.excerpt)}" if answer.excerpt else said


async def _ask_tcp(spec: ProbeSpec, target: ProbeTarget, watch: _Watch) -> tuple[Sample, str]:
    address = read_address(spec.address) if spec.address else target.default_address
    if address is None:
        raise ValueError("the service has no socket to connect to, and the probe names no address")
    with await dial(address, target.source, watch):
        watch.answered()
    return Sample.OK, f"connected to {show_address(address)}"


async def _ask_exec(spec: ProbeSpec, target: ProbeTarget, watch: _Watch) -> tuple[Sample, str]:
    if target.spawn is None or not spec.command or watch.deadline is None:
        raise ValueError("there is no command, or nothing to run it with")
    watch.stage = f"running {spec.command[0]}"
    # The command is ended by who runs it, who needs a moment for that.
    watch.deadline.reschedule(asyncio.get_running_loop().time() + spec.timeout_ms / 1000 + _SPAWN_GRACE_S)
    try:
        result = await target.spawn(spec.command, target.env, spec.timeout_ms)
    except (OSError, AeternaError) as error:
        raise UnansweredError(Sample.UNKNOWN, f"{spec.command[0]} cannot be started: {error}") from error
    watch.answered()
    if result.has_timed_out:
        return _judge_timeout(spec.timeout_ms, watch)
    said = f"{spec.command[0]}: {_ending(result)}"
    if result.code == 0:
        return Sample.OK, said
    return Sample.FAILED, f"{said}: {_one_line(result.output)}" if result.output.strip() else said


def _judge_timeout(timeout_ms: int, watch: _Watch) -> tuple[Sample, str]:
    watch.stop()
    detail = f"not done within {timeout_ms} ms: {watch.stage}"
    if watch.stall_ms > timeout_ms * _STALL_SHARE_MAX:
        return Sample.UNKNOWN, f"the supervisor itself stood still for {watch.stall_ms:.0f} ms; {detail}"
    return watch.timeout_means, detail


def _ending(result: ExecResult) -> str:
    if result.os_signal is None:
        return f"exit code {result.code}"
    return f"ended by OS signal {result.os_signal} ({signal.strsignal(result.os_signal)})"


def _one_line(text: str) -> str:
    """The beginning of a text on one line, for people."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + " …"


class _Watch:
    """The time of one probe: how long it took, what it was doing, and how long the loop kept it waiting."""

    def __init__(self) -> None:
        self.stage = ""
        self.timeout_means = Sample.FAILED
        self.deadline: asyncio.Timeout | None = None
        self.duration_ms = 0.0
        self.stall_ms = 0.0
        self._loop = asyncio.get_running_loop()
        self._started_s = self._ticked_s = self._loop.time()
        self._ticking: asyncio.TimerHandle | None = self._loop.call_later(_TICK_S, self._tick)

    def answered(self) -> None:
        """Take the time, and let no deadline spoil an answer that is there."""
        self.stop()
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(None)

    def stop(self) -> None:
        """Take the time; the first call counts."""
        if self._ticking is None:
            return
        self._note_stall()
        self._ticking.cancel()
        self._ticking = None
        self.duration_ms = round((self._loop.time() - self._started_s) * 1000, 3)

    def _tick(self) -> None:
        self._note_stall()
        self._ticking = self._loop.call_later(_TICK_S, self._tick)

    def _note_stall(self) -> None:
        now_s = self._loop.time()
        self.stall_ms = max(self.stall_ms, (now_s - self._ticked_s - _TICK_S) * 1000)
        self._ticked_s = now_s
