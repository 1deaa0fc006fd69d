"""Where and how a server serves."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.server.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where a server listens; port 0 = a free one, None = not at all. ``tls``: encrypted, on every port but that of the
    metrics; ``admin_token``: one that opens everything, beside those in the store."""

    host: str = "127.0.0.1"
    grpc_port: int = 7233
    http_port: int | None = 7234
    metrics_port: int | None = None
    tls: TlsFiles | None = None
    admin_token: str | None = None
    coordinator: CoordinatorOptions = field(default_factory=CoordinatorOptions)
