"""The event loop inside a run.

Workflow code runs on a loop of its own: a queue of callbacks, no clock, no selector, no threads. `drain` runs it
until nothing of the run is runnable any more, which is what "settled" means, exactly and however long the chain of
callbacks is. Between two drains the engine delivers one recorded result. So the order of everything inside a run
follows from the order of its history alone, live and on replay, whatever else the process does meanwhile.

`asyncio.gather`, `asyncio.TaskGroup`, `asyncio.wait`, queues, locks and events work on it as they are, because they
only need callbacks. What needs the outside world (timers, sockets, threads) raises `NotDurableError` with the name of
the durable form."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from aeterna.durable.core.identity import MAIN_PATH, task_hash_base
from aeterna.kernel.errors import NotDurableError

if TYPE_CHECKING:
    from aeterna.durable.engine.execution import Execution

T = TypeVar("T")
CALLBACKS_PER_DRAIN_MAX = 5_000_000


class RunTask(asyncio.Task[T]):
    """A task of a run: knows its place in the run's tree of tasks, and hashes alike on every replay."""

    def __init__(self, coro: Coroutine[Any, Any, T], loop: RunLoop, path: str, **options: Any) -> None:
        # The hash is needed by Task.__init__ itself, which enters the task into asyncio's set of all tasks.
        self.number = loop.next_number()
        self.path = path
        self.children = 0
        self.uuids = 0
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class RunFuture(asyncio.Future[T]):
    """A future that workflow code makes for itself; hashes alike on every replay."""

    def __init__(self, loop: RunLoop) -> None:
        self.number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class Callback:
    """What `RunLoop.call_soon` returns: enough of `asyncio.Handle` to cancel it."""

    __slots__ = ("args", "context", "function")

    def __init__(
        self, function: Callable[..., object] | None, args: tuple[Any, ...], context: contextvars.Context
    ) -> None:
        self.function = function
        self.args = args
        self.context = context

    def cancel(self) -> None:
        """Do not run it."""
        self.function = None
        self.args = ()

    def cancelled(self) -> bool:
        """True after `cancel`."""
        return self.function is None


class RunLoop(asyncio.AbstractEventLoop):
    """The loop of one run. Only the engine drains it, from a plain callback of the real loop."""

    def __init__(self, run_id: str, execution: Execution) -> None:
        self.execution = execution
        self._ready: deque[Callback] = deque()
        self._number = task_hash_base(run_id)
        self._tasks: list[RunTask[Any]] = []
        self._compact_at = 64

    def drain(self) -> None:
        """Run callbacks until the run has settled."""
        ready = self._ready
        if not ready:
            return
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        count = 0
        try:
            while ready:
                callback = ready.popleft()
                self._call(callback)
                count += 1
                if count > CALLBACKS_PER_DRAIN_MAX:
                    ready.clear()
                    raise NotDurableError(
                        f"the workflow went through {count:,} turns without waiting for a step, timer or child: "
                        "does it spin on asyncio.sleep(0)?"
                    )
        finally:
            asyncio._set_running_loop(outer)

    def _call(self, callback: Callback) -> None:
        """Run one callback; what it raises is reported as asyncio does, and stops nothing else."""
        if callback.function is None:
            return
        try:
            callback.context.run(callback.function, *callback.args)
        except SystemExit:
            # A task that ended by it holds it as its outcome, and that is where it counts.
            return
        except Exception as error:  # noqa: BLE001 - a done callback of the workflow's
            self.call_exception_handler({"message": "a callback of the workflow failed", "exception": error})

    def next_number(self) -> int:
        """The next hash of a task or future of this run."""
        self._number += 1
        return self._number

    # What asyncio needs of a loop.

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Callback:
        handle = Callback(callback, args, contextvars.copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def create_future(self) -> RunFuture[Any]:
        return RunFuture(self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: Any,
    ) -> RunTask[T]:
        """A task of this run, one place further in the tree under the current task."""
        if asyncio._get_running_loop() is not self:
            coro.close()
            raise NotDurableError("a task of a workflow can only be created by the workflow's own code")
        parent = asyncio.current_task(self)
        if isinstance(parent, RunTask):
            parent.children += 1
            path = f"{parent.path}.{parent.children}"
        else:
            path = MAIN_PATH
        task = RunTask(coro, self, path, name=name or path, context=context)
        self._tasks.append(task)
        if len(self._tasks) >= self._compact_at:
            self._tasks = self.unfinished_tasks()
            self._compact_at = 2 * len(self._tasks) + 64
        return task

    def unfinished_tasks(self) -> list[RunTask[Any]]:
        """The tasks the workflow created that are not done, in order of creation."""
        return [task for task in self._tasks if not task.done()]

    def start_main(self, coro: Coroutine[Any, Any, T], context: contextvars.Context) -> RunTask[T]:
        """The task of the workflow function itself."""
        return RunTask(coro, self, MAIN_PATH, name=MAIN_PATH, context=context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        """The run's own time, in seconds: that of the last delivered event."""
        return self.execution.now_us / 1e6

    def get_task_factory(self) -> None:
        return None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.execution.report_stray(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.execution.report_stray(context)

    # What a run must not do.


_WALL_CLOCK = ("asyncio.sleep, asyncio.timeout and asyncio.wait_for with a timeout", "ctx.sleep() and ctx.timeout()")
_THREADS = ("threads and executors", "a step: `await ctx.step(function, ...)` runs a plain function in a thread")
_REFUSED = {
    "call_later": _WALL_CLOCK,
    "call_at": _WALL_CLOCK,
    "run_in_executor": _THREADS,
    "call_soon_threadsafe": _THREADS,
}
_OUTSIDE = """add_reader add_signal_handler add_writer connect_accepted_socket connect_read_pipe connect_write_pipe
create_connection create_datagram_endpoint create_server create_unix_connection create_unix_server getaddrinfo
getnameinfo sendfile sock_accept sock_connect sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall
sock_sendfile sock_sendto start_tls subprocess_exec subprocess_shell""".split()


def _not_durable(what: str, instead: str) -> NotDurableError:
    return NotDurableError(f"workflow code cannot use {what}, because a replay would not repeat it; use {instead}")


def _refuse(what: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise _not_durable(what, instead)

    return refuse


# What a run must not do raises from the loop itself, because every such call of asyncio ends here.
for _name in _OUTSIDE:
    setattr(RunLoop, _name, _refuse(f"loop.{_name}()", "a step, which may use the network, files and processes"))
for _name, _words in _REFUSED.items():
    setattr(RunLoop, _name, _refuse(*_words))


def current_execution() -> Execution | None:
    """The run whose workflow code is executing right now, None outside of workflow code (steps included)."""
    loop = asyncio._get_running_loop()
    return loop.execution if isinstance(loop, RunLoop) else None
