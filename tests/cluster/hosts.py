"""Hosts whose connections can be cut: network namespaces joined by a bridge, or this host behind relays.

Namespaces have addresses of their own, and a pulled cable falls silent: nobody is told. They need the right to make
network interfaces. Behind relays (see `relay`) a cut connection is closed at once; that works everywhere."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from tests.cluster.relay import Relay


class Host:
    """This host by its loopback address; nothing can be cut. ``address``: where its servers listen; ``prefix``: what
    its programs are started under."""

    def __init__(self, address: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        self.address = address
        self.prefix = prefix

    def way_to(self, host: str, port: int) -> tuple[str, int]:
        """How it reaches a server."""
        return host, port

    def cut(self) -> None:
        """From here on nothing passes to it, or from it."""
        raise NotImplementedError

    def mend(self) -> None:
        raise NotImplementedError


class RelayedHost(Host):
    """This host, which reaches others through relays that end with ``life``."""

    def __init__(self, life: contextlib.ExitStack) -> None:
        super().__init__()
        self._life = life
        self._relays: dict[tuple[str, int], Relay] = {}

    def way_to(self, host: str, port: int) -> tuple[str, int]:
        target = (host, port)
        if target not in self._relays:
            self._relays[target] = self._life.enter_context(Relay(target))
        return "127.0.0.1", self._relays[target].port

    def cut(self) -> None:
        for relay in self._relays.values():
            relay.cut()

    def mend(self) -> None:
        for relay in self._relays.values():
            relay.mend()


class SpacedHost(Host):
    """A network namespace. ``link``: the end of its cable on the bridge; ``gateway``: this machine as it sees it, where
    a relay stands for each of this machine's servers."""

    def __init__(self, address: str, space: str, link: str, gateway: str, life: contextlib.ExitStack) -> None:
        super().__init__(address, ("ip", "netns", "exec", space))
        self._link = link
        self._gateway = gateway
        self._life = life
        self._relays: dict[tuple[str, int], Relay] = {}

    def way_to(self, host: str, port: int) -> tuple[str, int]:
        if host != "127.0.0.1":
            return host, port
        target = (host, port)
        if target not in self._relays:
            self._relays[target] = self._life.enter_context(Relay(target, self._gateway))
        return self._gateway, self._relays[target].port

    def cut(self) -> None:
        _ip("link", "set", self._link, "down")

    def mend(self) -> None:
        _ip("link", "set", self._link, "up")


@contextlib.contextmanager
def relayed_hosts(count: int) -> Iterator[list[Host]]:
    """So many hosts behind relays."""
    with contextlib.ExitStack() as life:
        yield [RelayedHost(life) for _ in range(count)]


@contextlib.contextmanager
def spaced_hosts(count: int) -> Iterator[list[Host]]:
    """So many namespaces that can reach each other and, on ``.1`` of their network, this one; gone at the end."""
    net = f"10.{os.getpid() // 256 % 256}.{os.getpid() % 256}"
    mark = f"ae{os.getpid() % 100_000}"
    with contextlib.ExitStack() as life:
        _ip("link", "add", f"{mark}b", "type", "bridge")
        life.callback(_ip, "link", "del", f"{mark}b")
        _ip("addr", "add", f"{net}.1/24", "dev", f"{mark}b")
        _ip("link", "set", f"{mark}b", "up")
        yield [_space(life, net, mark, number) for number in range(count)]


def can_have_spaces() -> bool:
    """Whether this process may make network namespaces and interfaces."""
    try:
        with spaced_hosts(1) as (host,):
            return subprocess.run([*host.prefix, "/bin/true"], check=False, capture_output=True).returncode == 0
    except (OSError, subprocess.CalledProcessError):
        return False


def _space(life: contextlib.ExitStack, net: str, mark: str, number: int) -> Host:
    space, outer, inner = f"{mark}n{number}", f"{mark}o{number}", f"{mark}i{number}"
    address = f"{net}.{number + 10}"
    _ip("netns", "add", space)
    life.callback(_ip, "netns", "del", space)
    _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
    _ip("link", "set", outer, "master", f"{mark}b", "up")
    _ip("-n", space, "addr", "add", f"{address}/24", "dev", inner)
    _ip("-n", space, "link", "set", inner, "up")
    _ip("-n", space, "link", "set", "lo", "up")
    return SpacedHost(address, space, outer, f"{net}.1", life)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
