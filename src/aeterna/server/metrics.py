"""What a server counts, in the words of Prometheus.

Counters move as things happen; gauges are read from the stores when they are asked for, so that what several servers
over one store say agrees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aeterna.durable.core.events import StepCompleted, StepFailed
from aeterna.durable.core.states import FINAL, State
from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.operations.summary import summary
from aeterna.durable.operations.workers import list_workers, room_of
from aeterna.durable.stores.contract import (
    Append,
    Appended,
    Created,
    CreateRun,
    Events,
    FencedOff,
    FireSchedule,
    MessageKind,
    Outcome,
    Post,
    Posted,
    Sealed,
    Write,
)
from aeterna.kernel.errors import StoreError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
COMMIT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
WRITES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048)
RUN_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
UNDER_WAY_MAX = 100_000
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self, coordinator: Coordinator) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._coordinator = coordinator
        self._registry = CollectorRegistry()
        self.created = self._counter("runs_created_total", "runs created through this server", "namespace")
        self.ended = self._counter("runs_ended_total", "runs whose end went through this server", "namespace", "state")
        self.run_seconds = self._histogram("run_seconds", "from the creation of a run to its end", RUN_SECONDS)
        self.events = self._counter("events_total", "events recorded through this server", "namespace")
        self.fenced = self._counter("writes_fenced_total", "writes refused: the run was another's by then", "namespace")
        self.posted = self._counter("messages_total", "signals and other messages to runs", "namespace", "kind")
        self.grpc = self._counter("grpc_requests_total", "calls that came, streams too", "method")
        self.commit_seconds = self._histogram(
            "commit_seconds", "how long a transaction of the store took", COMMIT_SECONDS
        )
        self.commit_writes = self._histogram("commit_writes", "writes that shared one transaction", WRITES)
        self.step_seconds = self._histogram("step_seconds", "how long a step's last attempt took", SECONDS)
        self.http = self._counter("http_requests_total", "requests answered", "method", "status")
        self.http_seconds = self._histogram("http_request_seconds", "how long they took", SECONDS, "method")
        self.runs = self._gauge("runs", "runs by state", "namespace", "state")
        self.stuck = self._gauge("runs_stuck", "runs that should move and do not", "namespace")
        self.oldest_pending = self._gauge(
            "pending_oldest_seconds", "how long the run waits that waits longest for its start", "namespace"
        )
        self.sessions = self._gauge("sessions", "sessions of workers that are connected to this server", "namespace")
        self.pending = self._gauge("queue_pending", "runs that wait for their start", "namespace", "queue")
        self.running = self._gauge("queue_running", "runs that have a place in the queue", "namespace", "queue")
        self.oldest = self._gauge("queue_oldest_seconds", "how long the oldest of them waits", "namespace", "queue")
        self.workers = self._gauge("workers", "live sessions of workers", "namespace")
        self.held = self._gauge("worker_runs", "runs that a worker has", "namespace", "session", "worker")
        self.room = self._gauge("worker_room", "runs more that it takes", "namespace", "session", "worker")
        self.handed_over = self._gauge("runs_handed_over", "runs that workers gave up for others here", "namespace")
        coordinator.at_desks(self._watch)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"aeterna_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"aeterna_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...], label: str = "namespace") -> Histogram:
        return Histogram(f"aeterna_{name}", text, [label], buckets=bounds, registry=self._registry)

    def counting(self, app: ASGIApp) -> ASGIApp:
        """The application, with its requests counted."""
        now_us: Callable[[], int] = self._coordinator.clock.monotonic_us

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began_us = now_us()
            # Anybody can invent methods.
            method = scope["method"] if scope["method"] in METHODS else "other"

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.http.labels(method, message["status"]).inc()
                    self.http_seconds.labels(method).observe((now_us() - began_us) / 1e6)
                await send(message)

            await app(scope, receive, noting)

        return counted

    def _watch(self, desk: NamespaceDesk) -> None:
        """Count what is written through a desk."""
        desk.listen_writes(_Watcher(self, desk).see)
        seconds, writes = self.commit_seconds.labels(desk.name), self.commit_writes.labels(desk.name)

        def measured(count: int, took_us: int) -> None:
            seconds.observe(took_us / 1e6)
            writes.observe(count)

        desk.listen_commits(measured)

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page that Prometheus reads: an ASGI application."""
        if scope["type"] != "http":
            return
        status, body = 404, b"the metrics are at /metrics\n"
        if scope["path"] == "/metrics":
            status, body = 200, await self.text()
        headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def text(self) -> bytes:
        """All metrics now."""
        for gauge in (self.pending, self.running, self.oldest, self.held, self.room):
            gauge.clear()
        for name, desk in list(self._coordinator.desks.items()):
            try:
                await self._read(name, desk)
            except StoreError:
                # Counters are still worth having; the gauges of a store in trouble are left out.
                continue
        return generate_latest(self._registry)

    async def _read(self, name: str, desk: NamespaceDesk) -> None:
        found = await summary(desk)
        for state in State:
            self.runs.labels(name, state.value).set(found.runs[state.value])
        for queue in found.queues:
            labels = (name, queue.queue.name)
            self.pending.labels(*labels).set(queue.pending)
            self.running.labels(*labels).set(queue.running)
            self.oldest.labels(*labels).set(_waits_s(found.at_us, queue.oldest_us))
        self.oldest_pending.labels(name).set(_waits_s(found.at_us, found.oldest_pending_us))
        self.stuck.labels(name).set(found.stuck_count)
        self.workers.labels(name).set(found.workers)
        self.sessions.labels(name).set(len(desk.sessions))
        self.handed_over.labels(name).set(desk.dispatch.balancer.handed_over)
        for worker in await list_workers(desk):
            self.held.labels(name, worker.number, worker.name).set(worker.runs)
            self.room.labels(name, worker.number, worker.name).set(room_of(worker) or 0)


def _waits_s(now_us: int, since_us: int | None) -> float:
    return 0.0 if since_us is None else max(now_us - since_us, 0) / 1e6


class _Watcher:
    """Counts the writes of one namespace. When a run began is known of those that were created here, the latest of
    them at least."""

    def __init__(self, metrics: Metrics, desk: NamespaceDesk) -> None:
        name = desk.name
        self._now_us = desk.clock.monotonic_us
        self._created = metrics.created.labels(name)
        self._ended = {state: metrics.ended.labels(name, state.value) for state in FINAL}
        self._run_seconds = metrics.run_seconds.labels(name)
        self._events = metrics.events.labels(name)
        self._fenced = metrics.fenced.labels(name)
        self._step_seconds = metrics.step_seconds.labels(name)
        self._posted = {kind: metrics.posted.labels(name, kind.value) for kind in MessageKind}
        self._began_us: dict[int, int] = {}

    def see(self, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
        """These were carried out."""
        events = 0
        for write, outcome in zip(writes, outcomes, strict=True):
            match write, outcome:
                case Append(), Appended():
                    events += len(write.events)
                    for took_us in _steps_us(write.events):
                        self._step_seconds.observe(took_us / 1e6)
                    if write.head is not None and write.head.state.is_final:
                        self._end(write.key, write.head.state)
                case Append(), FencedOff():
                    self._fenced.inc()
                case CreateRun(), Created():
                    events += len(write.events)
                    self._begin(outcome.key)
                case FireSchedule(), Created():
                    self._begin(outcome.key)
                case Post(), Posted(is_duplicate=False):
                    self._posted[write.kind].inc()
                case _:
                    pass
        if events:
            self._events.inc(events)

    def _begin(self, key: int) -> None:
        self._created.inc()
        self._began_us[key] = self._now_us()
        if len(self._began_us) > UNDER_WAY_MAX:
            del self._began_us[next(iter(self._began_us))]

    def _end(self, key: int, state: State) -> None:
        self._ended[state].inc()
        began_us = self._began_us.pop(key, None)
        if began_us is not None:
            self._run_seconds.observe((self._now_us() - began_us) / 1e6)


def _steps_us(events: Events) -> Sequence[int]:
    if isinstance(events, Sealed):
        return events.steps_us
    return [event.duration_us for event in events if isinstance(event, StepCompleted | StepFailed)]


Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class CallCounter(grpc.aio.ServerInterceptor):
    """Counts the gRPC calls of the services that there are."""

    def __init__(self, metrics: Metrics) -> None:
        self._grpc = metrics.grpc

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is not None:
            # Only of methods that exist: anybody can invent names.
            self._grpc.labels(handler_call_details.method.rpartition("/")[2]).inc()
        return handler
