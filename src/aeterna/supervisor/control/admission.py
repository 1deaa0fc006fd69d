"""Who may use the control API: on the Unix socket this user and root, on TCP whoever has the token.

A browser is kept out on TCP even if it can guess the token: a page's `Origin` must be the API's own, and the `Host` an
address or a name of this machine, so that a name made to resolve here (DNS rebinding) does not do.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from aeterna.supervisor.control.answers import problem
from aeterna.supervisor.control.contract import Caller

_CREDENTIALS = struct.Struct("3i")
"""``struct ucred``: pid, uid, gid (``unix(7)``)."""


class Door(Protocol):
    """Decides who may come in, for one listening socket."""

    def caller(self, peer: socket.socket) -> Caller:
        """Who has connected."""
        ...

    def admit(self, caller: Caller, headers: Mapping[str, str]) -> None:
        """Raises `ProblemError` for a request that this caller may not make."""
        ...


class UnixDoor:
    """Lets in the processes of one user, and those of root."""

    def __init__(self, uid: int) -> None:
        self._uids = frozenset({uid, 0})

    def caller(self, peer: socket.socket) -> Caller:
        data = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(data)
        return Caller(uid=uid, pid=pid)

    def admit(self, caller: Caller, headers: Mapping[str, str]) -> None:
        del headers
        if caller.uid not in self._uids:
            raise problem(HTTPStatus.FORBIDDEN, f"user {caller.uid} does not own this supervisor")


class TokenDoor:
    """Lets in those who know the token. ``hosts``: names by which the API may be reached, beside addresses."""

    def __init__(self, token: str, hosts: frozenset[str] = frozenset()) -> None:
        assert token, "without a token the API is not opened on TCP"
        self._token = token.encode()
        self._hosts = hosts | {"localhost", os.uname().nodename.lower()}

    def caller(self, peer: socket.socket) -> Caller:
        return Caller(address=peer_address(peer))

    def admit(self, caller: Caller, headers: Mapping[str, str]) -> None:
        del caller
        host = headers.get("host", "")
        if not self._is_own(host):
            raise problem(HTTPStatus.FORBIDDEN, f"the API is not reached by the name {host!r}: use an address")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise problem(HTTPStatus.FORBIDDEN, f"pages of {origin!r} may not use the API")
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if scheme.lower() != "bearer" or not is_right:
            challenge = (("WWW-Authenticate", 'Bearer realm="aeterna"'),)
            raise problem(HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer TOKEN", challenge)

    def _is_own(self, host: str) -> bool:
        name = _without_port(host).lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True


class OpenDoor:
    """Lets in everybody: for the metrics, which are served and nothing else."""

    def caller(self, peer: socket.socket) -> Caller:
        return Caller(address=peer_address(peer))

    def admit(self, caller: Caller, headers: Mapping[str, str]) -> None:
        pass


def peer_address(peer: socket.socket) -> str:
    """Where a TCP connection comes from; empty if it is gone already."""
    try:
        host, port = peer.getpeername()[:2]
    except OSError:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
