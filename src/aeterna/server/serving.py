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
from aeterna.server.http.serving import page
from aeterna.server.metrics import CallCounter, Metrics
from aeterna.server.options import ServeOptions
from aeterna.server.ports import who_holds
from aeterna.server.rpc.admin import AdminService
from aeterna.server.rpc.talk import TalkingClientService
from aeterna.server.rpc.worker import WorkerService

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
        pages = [("http", addresses.http), ("metrics", addresses.metrics)]
        say(f"ready: grpc {addresses.grpc}" + "".join(f", {name} http://{at}" for name, at in pages if at))
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
        metrics, feeds, left = Metrics(coordinator), Feeds(), asyncio.Event()
        server, healthy = _grpc_server(coordinator, metrics)
        addresses.grpc = f"{options.host}:{_bind(server, options.host, options.grpc_port)}"
        async with AsyncExitStack() as pages:
            if options.http_port is not None:
                app = metrics.counting(create_app(Gate(coordinator), feeds, lambda: not left.is_set()))
                addresses.http = await pages.enter_async_context(page(app, options.host, options.http_port))
                pages.callback(feeds.close)
            if options.metrics_port is not None:
                addresses.metrics = await pages.enter_async_context(
                    page(metrics.page, options.host, options.metrics_port)
                )
            await server.start()
            try:
                yield addresses
            finally:
                left.set()
                await healthy.enter_graceful_shutdown()
                coordinator.leave()
                await server.stop(GRACE_S)
    finally:
        await coordinator.stop()


def _grpc_server(coordinator: Coordinator, metrics: Metrics) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    server = grpc.aio.server(interceptors=[CallCounter(metrics)], options=SERVER_OPTIONS)
    add_service(server, "ClientService", TalkingClientService(coordinator))
    add_service(server, "WorkerService", WorkerService(coordinator))
    add_service(server, "AdminService", AdminService(coordinator))
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = [service.full_name for service in SERVICES.values()]
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server, healthy


def _bind(server: grpc.aio.Server, host: str, port: int) -> int:
    try:
        return server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {who_holds(port)}. Stop that, or choose another port"
        ) from None
