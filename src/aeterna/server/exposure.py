"""Who can reach an address, and what a server must have before others may."""

from __future__ import annotations

import ipaddress
import socket

from aeterna.kernel.errors import ConfigurationError


def is_loopback(host: str) -> bool:
    """Only this machine can reach it. A name is looked up; one that nobody knows counts as reachable."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM) if bare else []
    except OSError:
        return False
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    return bool(addresses) and all(ipaddress.ip_address(address).is_loopback for address in addresses)


def is_loopback_name(host: str) -> bool:
    """As `is_loopback`, for a name that somebody sent: it is not looked up."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, *, has_tls: bool, has_token: bool) -> None:
    """Raises `ConfigurationError` if others can reach the server and it is not protected: says why, and what to do."""
    if is_loopback(host) or (has_tls and has_token):
        return
    missing, advice = [], []
    if not has_token:
        missing.append("there is no token, so that anybody could start, read and end runs")
        advice.append("create a token (`aeterna token create --role admin --db ...`) or give --admin-token-file FILE")
    if not has_tls:
        missing.append("there is no TLS, so that tokens and payloads could be read on their way")
        advice.append("give --tls-cert FILE and --tls-key FILE")
    raise ConfigurationError(
        f"--host {host} can be reached from other machines, and {', and '.join(missing)}. The server does not start. "
        f"Either {' and '.join(advice)}, or listen on 127.0.0.1"
    )
