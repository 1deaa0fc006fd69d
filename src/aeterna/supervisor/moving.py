"""The memory of one service on its way from one generation to the next, over SRP.

A service whose processes do not speak SRP has none: roles and drains then mean nothing to it, and everything here that
tells them does nothing. Trouble is a `RelayError`; that there is nothing to move, or nobody to take it, is a
`MissingStateError`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aeterna.config.places import check_socket_path
from aeterna.config.spec import RollbackState, ServiceSpec, WithoutState
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import AeternaError
from aeterna.supervisor.host import unix_path
from aeterna.supervisor.host.keeping import Inventory
from aeterna.supervisor.host.logs import Level
from aeterna.supervisor.host.relay import Relay, RelayLimits, adopt_relay_socket, open_relay_socket
from aeterna.supervisor.host.relay_faults import RelayError, RelayFault
from aeterna.supervisor.host.snapshots import Snapshot
from aeterna.supervisor.house import House
from aeterna.supervisor.instances import Instance

_WARNINGS = {
    "relay.refused": "a process at the SRP socket was refused ({count} so far): {detail}",
    "relay.divided": "several processes of generation {generation} have state: that of process {moves} moves in a "
    "handover, that of {stay} is lost",
}
FENCE_S = 0.2
"""How long a generation that is to be fenced may take: until then the old one does not serve again."""


class MissingStateError(AeternaError):
    """There is no memory to move, or the new generation cannot take it."""


class Moving:
    """Moves memory, and tells the generations of one service what they may do.

    ``path``: the socket its processes connect to. ``stored``: the last memory that was moved, kept for a double death.
    """

    def __init__(self, spec: ServiceSpec, house: House, relay: Relay, path: Path) -> None:
        self._spec = spec
        self._house = house
        self._relay = relay
        self._path = path
        self._inode = unix_path.inode_at(os.fspath(path))
        self._stored: Snapshot | None = None
        self._expiry: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, spec: ServiceSpec, house: House, inventory: Inventory) -> Moving:
        """Open the socket, or take over the one of an earlier daemon. Raises `ConfigurationError`, `OSError`."""
        path = Path(spec.state.socket_path) if spec.state.socket_path else house.directory / f"srp-{spec.name}.sock"
        check_socket_path(path)
        key = f"srp:{spec.name}"
        fd = inventory.fds.pop(key, None)
        sock = adopt_relay_socket(fd) if fd is not None else open_relay_socket(path)
        if spec.user and fd is None:
            shutil.chown(path, spec.user)
            # Passing through is all that another user needs.
            house.directory.chmod(0o711)
            house.directory.parent.chmod(0o711)
        house.keeping.keep(key, sock.fileno())
        limits = RelayLimits(spec.state.bytes_max, spec.state.digest)

        def tell(kind: str, data: dict[str, Any]) -> None:
            house.emit(kind, {"service": spec.name, **data})
            if kind in _WARNINGS:
                house.say(_WARNINGS[kind].format(**data), spec.name, level=Level.WARNING)

        return cls(spec, house, Relay(sock, limits, tell), path)

    @property
    def path(self) -> str:
        return os.fspath(self._path)

    def expect(self, instance: Instance) -> None:
        """Processes of this generation may connect from now on."""
        self._relay.expect(instance.generation, instance.token, instance.includes, speakers=instance.speakers)

    def note_speakers(self, instance: Instance) -> None:
        """Bring up to date how many of its processes speak SRP."""
        instance.speakers = self._relay.speakers(instance.generation)

    def forget(self, instance: Instance) -> None:
        """A generation is gone."""
        self._relay.forget(instance.generation)

    # --- moving ------------------------------------------------------------------------------------------------------

    async def require(self, old: Instance, new: Instance) -> None:
        """Both have what it takes. Raises `MissingStateError`."""
        for instance in (old, new):
            try:
                await self._relay.wait_holder(instance.generation)
            except RelayError as error:
                raise MissingStateError(str(error)) from error

    async def precopy(self, old: Instance, new: Instance, txn: int) -> None:
        """Pass on ahead what can be."""
        await self._relay.precopy(old.generation, new.generation, txn, old.spec.state.timeout_ms)

    async def quiesce(self, old: Instance, txn: int) -> None:
        """Have the old generation change nothing any more."""
        limit_ms = min(old.spec.state.timeout_ms, old.spec.state.blackout_ms_max)
        await self._relay.quiesce(old.generation, txn, limit_ms)

    async def snapshot(self, old: Instance, new: Instance, txn: int) -> None:
        """Take the old generation's memory; the new one gets it at the same time."""
        limit_ms = old.spec.state.timeout_ms
        self._store(await self._relay.snapshot(old.generation, txn, limit_ms, forward_to=new.generation))

    async def restore(self, new: Instance, txn: int) -> int:
        """Have the new generation take it over; returns its size in bytes."""
        assert self._stored is not None, "a snapshot comes before its restoration"
        try:
            dropped = await self._relay.restore(new.generation, txn, self._stored, new.spec.state.timeout_ms)
        except RelayError as error:
            is_optional = new.spec.state.on_incompatible is WithoutState.COLD
            if error.fault is RelayFault.REFUSED and is_optional:
                raise MissingStateError(str(error)) from error
            raise
        if dropped:
            text = f"this version does not declare {', '.join(dropped)}, which is dropped"
            self._house.say(text, self._spec.name, new.generation, Level.WARNING)
        return self._stored.size

    # --- the stored snapshot -----------------------------------------------------------------------------------------

    def reserve_stored(self) -> bool:
        """Whether there is memory for a process that has to start alone; it is kept until one has it."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        return self._stored is not None

    async def restore_stored(self, instance: Instance) -> None:
        """Give a process that starts alone the memory of its predecessor, and let it serve; trouble is told."""
        if instance.role != "candidate":
            return
        if self._stored is None:
            # A handover that failed meanwhile has dropped it; the process still waits to be told.
            await self._relay.accept(instance.generation, 0)
            return
        generation, name = instance.generation, self._spec.name
        self._stored.was_left()
        try:
            await self._relay.wait_holder(generation)
            await self._relay.restore(generation, 0, self._stored, instance.spec.state.timeout_ms)
            self._house.say("it has the stored memory", name, generation)
        except RelayError as error:
            text = f"the stored memory could not be given to it, it starts without: {error}"
            self._house.say(text, name, generation, Level.WARNING)
        self.keep_stored(instance.spec.state.keep_snapshot_ms)
        await self._relay.accept(generation, 0)

    def keep_stored(self, keep_ms: int) -> None:
        """The handover has succeeded: its snapshot is of use for a while yet."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(keep_ms / 1000, self.drop_stored)

    def _store(self, snapshot: Snapshot) -> None:
        self.drop_stored()
        self._stored = snapshot
        for name, fd in snapshot.fds().items():
            self._house.keeping.keep(f"snapshot:{self._spec.name}:{name}", fd)

    def drop_stored(self) -> None:
        """The stored memory is out of date."""
        if self._stored is not None:
            for name in self._stored.parts:
                self._house.keeping.drop(f"snapshot:{self._spec.name}:{name}")
            self._stored.close()
            self._stored = None

    def snapshot_manifest(self) -> dict[str, Any]:
        """What is said of the stored memory in the record."""
        return self._stored.manifest() if self._stored is not None else {}

    def adopt_snapshot(self, manifest: Mapping[str, Any], fds: dict[str, int]) -> None:
        """Take over the memory that an earlier daemon had stored."""
        prefix = f"snapshot:{self._spec.name}:"
        found = {key.removeprefix(prefix): fds.pop(key) for key in [*fds] if key.startswith(prefix)}
        if manifest:
            self._stored = Snapshot.adopt(manifest, found)
            self.keep_stored(self._spec.state.keep_snapshot_ms)
        else:
            for fd in found.values():
                os.close(fd)

    # --- roles -------------------------------------------------------------------------------------------------------

    async def grant(self, instance: Instance, txn: int) -> None:
        """The generation may change state from now on."""
        await self._relay.lease(instance.generation, txn, granted=True)

    async def revoke(self, instance: Instance, txn: int) -> bool:
        """The generation may not any more; False if it did not say that it knows."""
        try:
            await self._relay.lease(instance.generation, txn, granted=False)
        except RelayError:
            return False
        return True

    async def retire(self, instance: Instance, txn: int) -> None:
        """It serves no longer, keeps its memory, and may not change it any more. That its hooks do not come to an end
        is no reason to wait, and one that is gone does neither; that it may still serve is."""
        try:
            await self._relay.retire(instance.generation, txn)
        except RelayError as error:
            if error.fault is RelayFault.TIMEOUT:
                await self._relay.standby(instance.generation, txn)
            elif error.fault is not RelayFault.GONE:
                raise

    async def accept(self, instance: Instance, txn: int) -> None:
        """It serves from now on."""
        await self._relay.accept(instance.generation, txn)

    async def fence(self, new: Instance, old: Instance | None, txn: int) -> bool:
        """The new generation serves no longer and has no lease; False if it did not say so in time. If the
        configuration wants that, its memory goes back to the old one before."""
        if new.spec.state.rollback is RollbackState.REVERSE and old is not None:
            await self._reverse(new, old, txn)
        try:
            async with asyncio.timeout(FENCE_S):
                await self._relay.retire(new.generation, txn)
        except (RelayError, TimeoutError):
            return False
        return True

    async def _reverse(self, new: Instance, old: Instance, txn: int) -> None:
        limit_ms = min(new.spec.state.timeout_ms, new.spec.state.blackout_ms_max // 2)
        try:
            await self._relay.quiesce(new.generation, txn, limit_ms)
            snapshot = await self._relay.snapshot(new.generation, txn, limit_ms, forward_to=old.generation)
            self._store(snapshot)
            await self._relay.restore(old.generation, txn, snapshot, limit_ms)
        except RelayError as error:
            self._house.say(
                f"its changes could not be given back, the old generation goes on with its own memory: {error}",
                self._spec.name,
                new.generation,
                Level.WARNING,
            )

    async def resume(self, instance: Instance, txn: int) -> None:
        """It serves again with the memory it has."""
        await self._relay.resume(instance.generation, txn)

    async def lame_duck(self, instance: Instance, txn: int) -> bool:
        """Have it ask its clients to leave, and give them time; False if it cannot, as one that does not speak SRP."""
        if not self._relay.peers(instance.generation) or not instance.spec.drain.lame_duck_ms:
            return False
        try:
            await self._relay.drain(instance.generation, txn, instance.spec.drain.lame_duck_ms)
        except RelayError:
            return False
        await sleep(instance.spec.drain.lame_duck_ms / 1000)
        return True

    async def release(self, instance: Instance, txn: int) -> None:
        """Nobody needs its memory any more."""
        with suppress(RelayError):
            await self._relay.release(instance.generation, txn)

    async def close(self, *, unlink: bool) -> None:
        """Let go of everything; ``unlink``: for good."""
        self._relay.close()
        if self._expiry is not None:
            self._expiry.cancel()
        if self._stored is not None:
            self._stored.close()
        if unlink and unix_path.inode_at(os.fspath(self._path)) == self._inode:
            self._path.unlink(missing_ok=True)
