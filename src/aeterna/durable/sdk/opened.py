"""What an app has open on one event loop: the engine that executes its runs, or only a client of a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aeterna.durable.core.events import Payload
from aeterna.durable.engine.durability import Level
from aeterna.durable.engine.engine import Engine
from aeterna.durable.engine.options import EngineOptions
from aeterna.durable.engine.own_world import OwnWorld
from aeterna.durable.engine.program import Program, StartOptions, WorkflowDefinition
from aeterna.durable.operations.control import ControlServer
from aeterna.durable.operations.start import StartRequest, start
from aeterna.durable.operations.world import World
from aeterna.durable.stores.contract import Store
from aeterna.durable.stores.opening import open_store
from aeterna.kernel.errors import InvalidStateError

if TYPE_CHECKING:
    from aeterna.durable.sdk.app import App
    from aeterna.durable.sdk.settings import Server
    from aeterna.durable.stores.remote.client import RemoteWorld
    from aeterna.durable.stores.remote.credentials import Credentials


class Opened:
    """Opens on first use, closes everything."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._engine: Engine | None = None
        self._own_world: OwnWorld | None = None
        self._client: RemoteWorld | None = None
        self._control: ControlServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Lock | None = None

    @property
    def is_open(self) -> bool:
        """Something is."""
        return self._engine is not None or self._client is not None

    async def engine(self) -> Engine:
        """The running engine of this event loop."""
        opening = self._opening_here()
        if self._engine is None:
            async with opening:
                if self._engine is None:
                    self._engine = await self._start_engine()
                    self._own_world = OwnWorld(self._engine)
        self._engine.check()
        return self._engine

    async def world(self) -> World:
        """Where operations work: the server, or where there is none this process's engine, opened on first use."""
        if self._app.server is None:
            return await self._own()
        opening = self._opening_here()
        async with opening:
            return await self._connected()

    async def own_world(self, run_id: str | None = None) -> OwnWorld | None:
        """The engine of this process, if what is to be done can be done there: with a server only by an open engine,
        and for a run, by the one that has it in memory."""
        if self._app.server is None:
            return await self._own()
        engine = self._engine
        if engine is None or self._loop is not asyncio.get_running_loop():
            return None
        return self._own_world if run_id is None or engine.is_resident(run_id) else None

    async def _own(self) -> OwnWorld:
        await self.engine()
        assert self._own_world is not None
        return self._own_world

    async def start(
        self, definition: WorkflowDefinition, arguments: Payload, run_id: str, how: StartOptions | None
    ) -> str:
        """See `App.start`."""
        own_world = await self.own_world()
        if own_world is not None:
            return await own_world.start(definition, arguments, run_id, how)
        options = how or StartOptions()
        request = StartRequest(
            id=run_id,
            workflow=definition.name,
            version=definition.version,
            arguments=arguments,
            queue=options.queue,
            priority=options.priority,
            share=options.share,
            delay_us=options.delay_us,
            singleton=options.singleton,
            debounce=options.debounce,
            requires=options.requires,
            affinity=options.affinity,
        )
        return (await start(await self.world(), request)).id

    async def close(self) -> None:
        """Stop the engine; unfinished runs go on when the app is opened again. Idempotent."""
        engine, self._engine, self._own_world = self._engine, None, None
        control, self._control = self._control, None
        client, self._client = self._client, None
        if control is not None:
            await control.stop()
        try:
            if engine is not None:
                await engine.stop()
        finally:
            if client is not None:
                await client.close()

    def _opening_here(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self.is_open and self._loop is not None and self._loop is not loop:
            if not self._loop.is_closed():
                raise InvalidStateError(f"app {self._app.name!r} is open on another event loop: close it there first")
            # That loop ended without `close`, and took what was open with it.
            self._engine = self._own_world = self._control = self._client = None
        if self._opening is None or self._loop is not loop:
            self._opening, self._loop = asyncio.Lock(), loop
        return self._opening

    async def _start_engine(self) -> Engine:
        app = self._app
        program = Program(app.served)
        for workflow in app.workflows:
            program.add(workflow.definition)
        worker = app.worker
        options = EngineOptions(
            app.durability,
            app.limits,
            app.clock,
            app.retention_us,
            queues=worker.queues,
            capabilities=worker.capabilities,
            worker_name=worker.name,
            tends_store=app.server is None or app.given_store is not None,
        )
        engine = Engine(self._store(), program, options)
        self._answer_queries(engine)
        await engine.start()
        try:
            self._control = ControlServer(engine, app.address.path)
            engine.at_end(self._control.abandon)
            await self._control.start()
            await self._declare(engine)
        except BaseException:
            await engine.stop()
            raise
        return engine

    async def _declare(self, engine: Engine) -> None:
        """Put what the app declares, where its runs are kept."""
        declarations = self._app.declarations
        if engine.options.tends_store:
            await declarations.put(OwnWorld(engine))
        elif not declarations.is_empty:
            await self._connected()

    def _store(self) -> Store:
        app = self._app
        if app.given_store is not None:
            return app.given_store
        if app.server is not None:
            from aeterna.durable.stores.remote.store import RemoteStore

            return RemoteStore(app.name, app.server.addresses, _credentials(app.server), app.limits)
        return open_store(app.address.url, app.name, synchronous=app.durability.level is Level.LOG)

    def _answer_queries(self, engine: Engine) -> None:
        if self._app.server is not None and self._app.given_store is None:
            from aeterna.durable.stores.remote.store import RemoteStore

            assert isinstance(engine.store, RemoteStore)
            engine.store.on_query = engine.query

    async def _connected(self) -> RemoteWorld:
        app = self._app
        assert app.server is not None
        if self._client is None:
            from aeterna.durable.stores.remote.client import RemoteWorld

            client = RemoteWorld(app.name, app.server.addresses, _credentials(app.server), app.limits)
            await client.open()
            self._client = client
            await app.declarations.put(client)
        return self._client


def _credentials(server: Server) -> Credentials:
    # Loading gRPC takes long, and only an app with a server needs it.
    from aeterna.durable.stores.remote.credentials import Credentials

    return Credentials(server.token, server.is_encrypted, server.ca, server.certificate, server.key)
