"""What a server counts, in the words of Prometheus.

Counters move as things happen; gauges are read from the stores when they are asked for, so that what several servers
over one store say agrees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aeterna.durable.core.states import State
from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.desk import NamespaceDesk
from aeterna.durable.stores.contract import Notice, NoticeKind
from aeterna.kernel.errors import StoreError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self, coordinator: Coordinator) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._coordinator = coordinator
        self._registry = CollectorRegistry()
        self._heard: set[str] = set()
        self.ended = self._counter("runs_ended_total", "runs that ended while this server looked on", "namespace")
        self.posted = self._counter("messages_total", "messages posted to runs of this server's workers", "namespace")
        self.http = self._counter("http_requests_total", "requests answered", "method", "status")
        self.http_seconds = Histogram(
            "aeterna_http_request_seconds", "how long they took", ["method"], buckets=SECONDS, registry=self._registry
        )
        self.runs = self._gauge("runs", "runs by state", "namespace", "state")
        self.pending = self._gauge("queue_pending", "runs that wait for their start", "namespace", "queue")
        self.running = self._gauge("queue_running", "runs that have a place in the queue", "namespace", "queue")
        self.oldest = self._gauge("queue_oldest_seconds", "how long the oldest of them waits", "namespace", "queue")
        self.workers = self._gauge("workers", "live sessions", "namespace")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"aeterna_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"aeterna_{name}", text, labels, registry=self._registry)

    def counting(self, app: ASGIApp) -> ASGIApp:
        """The application, with its requests counted."""
        now_us: Callable[[], int] = self._coordinator.clock.monotonic_us

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began_us = now_us()

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.http.labels(scope["method"], message["status"]).inc()
                    self.http_seconds.labels(scope["method"]).observe((now_us() - began_us) / 1e6)
                await send(message)

            self.listen()
            await app(scope, receive, noting)

        return counted

    def listen(self) -> None:
        """Hear of the namespaces that have been opened since."""
        for name, desk in self._coordinator.desks.items():
            if name not in self._heard:
                self._heard.add(name)
                desk.listen(self._hearing(name))

    def _hearing(self, namespace: str) -> Callable[[Notice], None]:
        ended, posted = self.ended.labels(namespace), self.posted.labels(namespace)

        def hear(notice: Notice) -> None:
            if notice.kind is NoticeKind.ENDED:
                ended.inc()
            elif notice.kind is NoticeKind.INBOX:
                posted.inc()

        return hear

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
        self.listen()
        for gauge in (self.pending, self.running, self.oldest):
            gauge.clear()
        for name, desk in list(self._coordinator.desks.items()):
            try:
                await self._read(name, desk)
            except StoreError:
                # Counters are still worth having; the gauges of a store in trouble are left out.
                continue
        return generate_latest(self._registry)

    async def _read(self, name: str, desk: NamespaceDesk) -> None:
        counts: dict[Any, int] = dict(await desk.store.count_runs())
        for state in State:
            self.runs.labels(name, state.value).set(counts.get(state, 0))
        now_us = desk.clock.now_us()
        for queue in await desk.store.list_queues():
            labels = (name, queue.queue.name)
            self.pending.labels(*labels).set(queue.pending)
            self.running.labels(*labels).set(queue.running)
            waits_us = 0 if queue.oldest_us is None else now_us - queue.oldest_us
            self.oldest.labels(*labels).set(waits_us / 1e6)
        sessions = await desk.store.list_sessions()
        self.workers.labels(name).set(sum('"role":"server"' not in row.about for row in sessions))
