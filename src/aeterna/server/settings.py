"""What a server is told: the command line before the file before the defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeterna.config.durations import parse_duration
from aeterna.config.mistakes import UnfitError
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.kernel.errors import ConfigurationError
from aeterna.kernel.limits import Limits
from aeterna.kernel.suggestions import did_you_mean
from aeterna.server.options import ServeOptions
from aeterna.server.tls import tls_files

KNOWN: Mapping[str, Mapping[str, type]] = {
    "server": {"host": str, "grpc_port": int, "http_port": int, "db_path": str},
    "security": {"tls_cert": str, "tls_key": str, "tls_client_ca": str, "admin_token_file": str},
    "persistence": {"mode": str, "retention": str},
    "limits": {"payload_bytes_max": int, "inbox_messages_max": int},
    "metrics": {"enabled": bool, "port": int},
}
"""Section -> key -> type, of the TOML file."""

DEFAULT_DB = "./data/aether.db"
MODES = ("memory", "snapshot", "state-action-log")
LEASE_S_MIN, LEASE_S_MAX = 1.0, 600.0


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """``url``: of the store (see `stores.opening`); ``place``: the same for people; ``is_synchronous``: what was
    acknowledged survives a crash of the machine, too."""

    url: str
    place: str
    is_synchronous: bool
    options: ServeOptions


def settle(given: Mapping[str, Any]) -> ServerSettings:
    """What is meant, of the options of the command line by name (None = not given); raises `ConfigurationError`."""
    file = read_file(Path(given["config"])) if given.get("config") else {}
    server, metrics = file.get("server", {}), file.get("metrics", {})
    mode = given.get("persistence") or file.get("persistence", {}).get("mode") or MODES[-1]
    if mode not in MODES:
        raise ConfigurationError(f"persistence.mode {mode!r} is unknown: use one of {', '.join(MODES)}")
    url = _url(given.get("db") or server.get("db_path"), mode)
    grpc_port = _first(given.get("grpc_port"), server.get("grpc_port"), 7233)
    metrics_port = given.get("metrics_port")
    if metrics_port is None and metrics.get("enabled", "port" in metrics):
        metrics_port = metrics.get("port", 9090)
    options = ServeOptions(
        host=given.get("host") or server.get("host") or "127.0.0.1",
        grpc_port=grpc_port,
        http_port=_first(given.get("http_port"), server.get("http_port"), grpc_port + 1 if grpc_port else 0),
        metrics_port=metrics_port,
        coordinator=_coordinator(given, file),
        **_security(given, file.get("security", {})),
    )
    _require_different_ports(options)
    place = "memory only: nothing survives this process" if url == "memory:" else _shown(url)
    return ServerSettings(url, place, mode == MODES[-1], options)


def _coordinator(given: Mapping[str, Any], file: Mapping[str, Mapping[str, Any]]) -> CoordinatorOptions:
    retention = given.get("retention") or file.get("persistence", {}).get("retention")
    return CoordinatorOptions(
        lease_us=_lease_us(given.get("lease")),
        retention_us=None if retention is None else _retention_us(retention),
        limits=Limits(**file.get("limits", {})),
    )


def _security(given: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    tls = tls_files(*(given.get(name) or file.get(name) for name in ("tls_cert", "tls_key", "tls_client_ca")))
    token_file = given.get("admin_token_file") or file.get("admin_token_file")
    return {"tls": tls, "admin_token": _read_token(token_file) if token_file else None}


def _read_token(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"--admin-token-file {path} cannot be read: {error.strerror}") from error


def read_file(path: Path) -> dict[str, dict[str, Any]]:
    """The file's sections; raises `ConfigurationError` that names the file, the key and what would be right."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML file: {error}") from error
    for section, keys in found.items():
        if section not in KNOWN or not isinstance(keys, dict):
            raise ConfigurationError(f"{path}: there is no section [{section}]{_hint(section, KNOWN)}")
        for key, value in keys.items():
            kind = KNOWN[section].get(key)
            if kind is None:
                raise ConfigurationError(f"{path}: [{section}] has no key {key!r}{_hint(key, KNOWN[section])}")
            if type(value) is not kind:
                raise ConfigurationError(f"{path}: [{section}] {key} = {value!r} is not of type {kind.__name__}")
            if isinstance(value, int) and kind is int and (problem := _problem_of_number(key, value)):
                raise ConfigurationError(f"{path}: [{section}] {key} = {value} {problem}")
    return found


def _problem_of_number(key: str, value: int) -> str:
    if key.endswith("port"):
        return "" if 0 <= value <= 65_535 else "is no port: use 0 to 65535"
    return "" if value > 0 else "is no limit: use 1 or more"


def _require_different_ports(options: ServeOptions) -> None:
    """Raises `ConfigurationError` where two of a server's ports are the same."""
    ports = {"gRPC": options.grpc_port, "HTTP": options.http_port, "metrics": options.metrics_port}
    taken: dict[int, str] = {}
    for name, port in ports.items():
        if port and port in taken:
            raise ConfigurationError(
                f"{taken[port]} and {name} cannot both have port {port}: choose another one for one of them"
            )
        taken[port or 0] = name


def _retention_us(text: str) -> int:
    try:
        return parse_duration(text) * 1_000
    except UnfitError as error:
        raise ConfigurationError(f"retention {text!r} cannot be: {error}; 30d keeps ended runs for a month") from None


def _url(db: str | None, mode: str) -> str:
    if mode == "memory" and db not in (None, "memory:", "memory://"):
        raise ConfigurationError(f"runs cannot be kept in {_shown(db)} and in memory only: leave out one of the two")
    if mode == "memory" or db in ("memory:", "memory://"):
        return "memory:"
    db = db or DEFAULT_DB
    if db.startswith(("postgresql://", "postgres://", "sqlite:///")):
        return db
    if "://" in db:
        raise ConfigurationError(f"--db {db!r} is no store: use a path, sqlite:///PATH or postgresql://HOST/DATABASE")
    return f"sqlite:///{db}"


def _shown(url: str) -> str:
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, credentials = head.partition("://")
    return f"{scheme}://{credentials.partition(':')[0]}@{tail}"


def _lease_us(seconds: float | None) -> int:
    if seconds is None:
        return CoordinatorOptions().lease_us
    if not LEASE_S_MIN <= seconds <= LEASE_S_MAX:
        raise ConfigurationError(f"--lease {seconds:g} cannot be: use {LEASE_S_MIN:g} to {LEASE_S_MAX:g} seconds")
    return round(seconds * 1e6)


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _hint(word: str, known: Mapping[str, object]) -> str:
    return did_you_mean(word, known) or f"; there are {', '.join(known)}"
