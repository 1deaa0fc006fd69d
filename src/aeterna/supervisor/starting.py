"""How a process of a service comes to be: its colour, its sockets, its pipes, its environment, and what is kept of it.

Everything a successor of the daemon needs is deposited with the keeper before the process runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aeterna.config.spec import ServiceSpec
from aeterna.supervisor import launch
from aeterna.supervisor.checks import run_command
from aeterna.supervisor.host import limits
from aeterna.supervisor.host.dialing import Address, read_address
from aeterna.supervisor.host.keeping import SpawnRequest
from aeterna.supervisor.host.log_pipe import LogPipe
from aeterna.supervisor.host.logs import LogStream
from aeterna.supervisor.host.notify import NotifySocket
from aeterna.supervisor.host.probes import ExecResult, ProbeTarget
from aeterna.supervisor.instances import Instance
from aeterna.supervisor.weighing import weigh

if TYPE_CHECKING:
    from aeterna.supervisor.service import Service

STREAMS = (LogStream.OUT, LogStream.ERR)


class Starting:
    """Starts the processes of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    # --- before ------------------------------------------------------------------------------------------------------

    def fresh_token(self) -> str:
        """A name nobody else has and nobody can guess: it marks a process and all its descendants."""
        return f"{self._service.name}-{self._service.house.chance.getrandbits(96):024x}"

    def cold_colour(self) -> int:
        """The colour of a process that starts alone: the one that new connections are sent to already."""
        return 1 if self._service.traffic.percent >= 50 else 0

    def other_colour(self) -> int:
        """The colour of a candidate."""
        old = self._service.old
        return 1 - (old.colour if old is not None else self.cold_colour())

    def prepare(self, generation: int, spec: ServiceSpec, *, role: str, colour: int) -> Instance:
        """Make the instance known, so that whatever happens from now on has somebody to happen to."""
        service = self._service
        instance = Instance(generation, spec, self.fresh_token(), colour)
        instance.role = role
        service.instances[generation] = instance
        service.moving.expect(instance)
        return instance

    # --- the start ---------------------------------------------------------------------------------------------------

    async def spawn(self, instance: Instance) -> None:
        """Start the process. Raises `SpawnError` or `ConfigurationError`."""
        service = self._service
        house, spec = service.house, instance.spec
        listeners = service.traffic.for_spec(spec.sockets)
        self._open_notify(instance)
        pipes = [self._open_pipe(instance, stream) for stream in STREAMS]
        instance.limits = limits.apply(spec.limits, house.groups, instance.token)
        fds = [listener.socket_of(instance.colour).fileno() for listener in listeners]
        fds += service.store.fds
        try:
            request = SpawnRequest(
                key=instance.token,
                argv=launch.command(spec, listeners),
                env=launch.environment(spec, listeners, self._circumstances(instance)),
                cwd=spec.cwd,
                user=spec.user,
                group=spec.group,
                rlimits=instance.limits.rlimits,
                nice=instance.limits.nice,
                affinity=instance.limits.affinity,
                cgroup_path=instance.limits.cgroup_path,
                listen_fds=len(fds),
                stdout_fd=pipes[0],
                stderr_fd=pipes[1],
            )
            instance.started_us = house.clock.now_us()
            instance.child = await house.keeping.spawn(request, fds)
        finally:
            for fd in pipes:
                os.close(fd)
            instance.spawned.set()
        service.in_background(weigh(instance))
        house.save()
        house.emit(
            "process.started",
            {"service": service.name, "generation": instance.generation, "pid": instance.pid},
        )

    def _circumstances(self, instance: Instance) -> launch.Circumstances:
        service = self._service
        assert instance.notify is not None
        return launch.Circumstances(
            generation=instance.generation,
            token=instance.token,
            role=instance.role,
            txn=service.machine.txn if instance.role == "candidate" else 0,
            notify_path=instance.notify.path,
            state_path=service.moving.path,
            stored=service.store.names,
            inherited=service.house.environ,
        )

    def _open_notify(self, instance: Instance) -> None:
        house = self._service.house
        notify = NotifySocket.bind(house.directory / f"n-{instance.token[-8:]}.sock")
        self.listen(instance, notify)
        house.keeping.keep(f"notify:{instance.token}", notify.fileno())

    def listen(self, instance: Instance, notify: NotifySocket) -> None:
        """Hear what the process says of itself."""
        instance.listen_to(notify, lambda: self._service.hear(instance))

    def _open_pipe(self, instance: Instance, stream: LogStream) -> int:
        """A pipe for one output; its read end stays here and with the keeper, so that writing never fails."""
        house = self._service.house
        reader, writer = os.pipe2(os.O_CLOEXEC)
        house.keeping.keep(f"pipe:{instance.token}:{stream}", reader)
        self.read_pipe(instance, stream, reader)
        return writer

    def read_pipe(self, instance: Instance, stream: LogStream, fd: int) -> None:
        """Read one output of the process into the log book, to its end."""
        house = self._service.house
        key = f"pipe:{instance.token}:{stream}"
        write = house.logs.writer(self._service.name, instance.generation, stream)

        def take(lines: Sequence[str]) -> None:
            house.metrics.log_lines(self._service.name, stream, len(lines))
            write(lines)

        pipe = LogPipe(
            fd,
            take,
            on_end=lambda: house.keeping.drop(key),
        )
        instance.pipes.append(pipe)
        pipe.start()

    # --- listeners with the keeper -----------------------------------------------------------------------------------

    def keep_listeners(self, names: list[str]) -> None:
        """Deposit listeners with the keeper, under names of this service."""
        service = self._service
        for name in names:
            for key, fd in service.traffic.listeners[name].fds().items():
                service.house.keeping.keep(f"{service.name}/{key}", fd)

    def drop_listeners(self, names: list[str]) -> None:
        """Have the keeper close them, too."""
        for name in names:
            for colour in ("blue", "green"):
                self._service.house.keeping.drop(f"{self._service.name}/listener:{name}:{colour}")

    # --- asking the process ------------------------------------------------------------------------------------------

    def target(self, instance: Instance) -> ProbeTarget:
        """How a probe reaches this process and no other generation."""
        service = self._service
        listener = service.traffic.probe_listener()
        steering = service.traffic.probe_steering()
        listeners = service.traffic.for_spec(instance.spec.sockets)
        address: Address | None = None
        if listener is not None:
            address = listener.reach()[0][1]
        elif listeners:
            address = read_address(launch.local_address(listeners[0]))
        family = listener.reach()[0][0] if listener is not None else 0
        return ProbeTarget(
            default_address=address,
            source=(lambda: steering.probe_source(family)) if steering is not None else None,
            env=launch.environment(instance.spec, listeners, self._circumstances(instance)),
            spawn=self._run_probe,
        )

    async def _run_probe(self, argv: tuple[str, ...], env: Mapping[str, str], timeout_ms: int) -> ExecResult:
        outcome = await run_command(argv, env, timeout_ms, token=self.fresh_token())
        return ExecResult(
            code=outcome.code, os_signal=outcome.os_signal, output=outcome.output, has_timed_out=outcome.has_timed_out
        )
