"""`aeterna serve`: the coordinator, and what lets others reach it, from start to graceful end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.stores.contract import Namespaces
from aeterna.durable.wire.services import SERVER_OPTIONS, SERVICES, add_service
from aeterna.kernel.clock import Clock, SystemClock
from aeterna.kernel.errors import ConfigurationError
from aeterna.server.http.api import create_app
from aeterna.server.http.changes import Feeds
from aeterna.server.http.gate import Gate
from aeterna.server.http.guard import guarded
from aeterna.server.http.serving import page
from aeterna.server.metrics import CallCounter, Metrics
from aeterna.server.options import ServeOptions
from aeterna.server.ports import joined, who_holds
from aeterna.server.rpc.admin import AdminService
from aeterna.server.rpc.serving import admission
from aeterna.server.rpc.talk import TalkingClientService
from aeterna.server.rpc.worker import WorkerService
from aeterna.server.security import Security, secure
from aeterna.server.tls import Tls

log = logging.getLogger("aeterna.server")

GRACE_S = 5.0


@dataclass(slots=True)
class Addresses:
    """Where a server can be reached."""

    grpc: str = ""
    http: str = ""
    metrics: str = ""


async def serve(namespaces: Namespaces, options: ServeOptions, place: str) -> None:
    """Serve until SIGINT or SIGTERM; ``place`` names the store for people.

    Raises `ConfigurationError` for a port that somebody has, and the store's error."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serving(namespaces, options) as addresses:
        say(f"runs are kept in {place}")
        scheme = "http" if options.tls is None else "https"
        pages = [("http", scheme, addresses.http), ("metrics", "http", addresses.metrics)]
        say(f"ready: grpc {addresses.grpc}" + "".join(f", {name} {kind}://{at}" for name, kind, at in pages if at))
        await stop.wait()
        say("stopping: what is under way is committed, workers keep their runs and look for another server")


def say(text: str) -> None:
    """Tell people; standard output is for what a command was asked for."""
    print(f"aeterna serve: {text}", file=sys.stderr, flush=True)  # noqa: T201 - it is what the command says


@asynccontextmanager
async def serving(
    namespaces: Namespaces, options: ServeOptions, clock: Clock | None = None
) -> AsyncIterator[Addresses]:
    """A server while the block lasts; then no new work is taken, what is in flight is committed, and calls that wait
    end as unavailable."""
    coordinator = Coordinator(namespaces, clock or SystemClock(), options.coordinator)
    await coordinator.start()
    addresses = Addresses()
    try:
        security = await secure(namespaces, options, coordinator.clock)
        metrics, gate, left = Metrics(coordinator), Gate(coordinator, security), asyncio.Event()
        server, healthy = _grpc_server(coordinator, metrics, security)
        addresses.grpc = joined(options.host, _bind(server, options.host, options.grpc_port, security.tls))
        async with AsyncExitStack() as pages:
            if options.http_port is not None:
                addresses.http = await _serve_http(pages, gate, metrics, options, left)
            if options.metrics_port is not None:
                addresses.metrics = await pages.enter_async_context(
                    page(metrics.page, options.host, options.metrics_port)
                )
            await server.start()
            rounds = asyncio.create_task(security.make_rounds(), name="aeterna-security")
            try:
                yield addresses
            finally:
                left.set()
                rounds.cancel()
                await healthy.enter_graceful_shutdown()
                coordinator.leave()
                await server.stop(GRACE_S)
    finally:
        await coordinator.stop()


async def _serve_http(
    pages: AsyncExitStack, gate: Gate, metrics: Metrics, options: ServeOptions, left: asyncio.Event
) -> str:
    assert options.http_port is not None
    feeds, security = Feeds(), gate.security
    app = guarded(metrics.counting(create_app(gate, feeds, lambda: not left.is_set())), security.gate)
    context = None if security.tls is None else security.tls.context
    address = await pages.enter_async_context(page(app, options.host, options.http_port, context))
    pages.callback(feeds.close)
    return address


def _grpc_server(
    coordinator: Coordinator, metrics: Metrics, security: Security
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    server = grpc.aio.server(interceptors=[CallCounter(metrics)], options=SERVER_OPTIONS)
    admit = admission(security.gate)
    add_service(server, "ClientService", TalkingClientService(coordinator, admit))
    add_service(server, "WorkerService", WorkerService(coordinator, admit))
    add_service(server, "AdminService", AdminService(coordinator, admit, security))
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = [service.full_name for service in SERVICES.values()]
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server, healthy


def _bind(server: grpc.aio.Server, host: str, port: int, tls: Tls | None) -> int:
    address = joined(host, port)
    try:
        if tls is not None:
            return server.add_secure_port(address, tls.grpc_credentials())
        return server.add_insecure_port(address)
    except RuntimeError:
        raise ConfigurationError(
            f"cannot listen on {address}: {who_holds(port)}. Stop that, or choose another port"
        ) from None
