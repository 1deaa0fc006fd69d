"""A server in this process, on a free port of the loopback, and workers of it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import grpc

from aeterna.durable.engine.coordinator.coordinator import Coordinator
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.durable.stores.remote.store import RemoteStore
from aeterna.durable.wire.services import SERVER_OPTIONS, add_service
from aeterna.kernel.clock import SystemClock
from aeterna.server.rpc.admin import AdminService
from aeterna.server.rpc.serving import admit_anybody
from aeterna.server.rpc.talk import TalkingClientService
from aeterna.server.rpc.worker import WorkerService

CLOCK = SystemClock()


class Serving:
    """``start`` and ``stop`` as often as wanted, over the same namespaces and the same port."""

    def __init__(self, namespaces=None, **options):
        self.namespaces = namespaces or MemoryNamespaces()
        self.options = CoordinatorOptions(**{"look_s": 0.05, **options})
        self.port = 0
        self.admit = admit_anybody
        self.secrets = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    async def start(self):
        self.coordinator = Coordinator(self.namespaces, CLOCK, self.options)
        await self.coordinator.start()
        self.server = grpc.aio.server(options=SERVER_OPTIONS)
        add_service(self.server, "WorkerService", WorkerService(self.coordinator, self.admit))
        add_service(self.server, "ClientService", TalkingClientService(self.coordinator, self.admit))
        add_service(self.server, "AdminService", AdminService(self.coordinator, self.admit))
        place = f"127.0.0.1:{self.port}"
        if self.secrets is None:
            self.port = self.server.add_insecure_port(place)
        else:
            self.port = self.server.add_secure_port(place, self.secrets)
        await self.server.start()

    async def stop(self):
        self.coordinator.leave()
        await self.server.stop(0)
        await self.coordinator.stop()

    async def desk(self, name="orders"):
        return await self.coordinator.namespace(name)


@asynccontextmanager
async def serving(namespaces=None, **options):
    served = Serving(namespaces, **options)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


class Worker:
    """A `RemoteStore` with a session, and what it heard."""

    def __init__(self, served, name="w", namespace="orders"):
        self.store = RemoteStore(namespace, [served.address])
        self.name = name
        self.notices = []
        self.store.watch(self.notices.append)

    async def open(self, lease_us=5_000_000):
        await self.store.open()
        self.session = await self.store.open_session(CLOCK.now_us(), "here", 1, lease_us=lease_us, name=self.name)
        return self

    async def __aenter__(self):
        return await self.open()

    async def __aexit__(self, *_):
        await self.store.close()
