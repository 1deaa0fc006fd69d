"""``aeterna serve``."""

from __future__ import annotations

import argparse

from aeterna.cli.exit_codes import OK

DESCRIPTION = """\
Serve runs to workers and clients on other machines: gRPC for programs, HTTP for everybody.
"""

EPILOG = """\
examples:
  aeterna serve
  aeterna serve --db postgresql://localhost/aeterna --grpc-port 7233 --http-port 7234
  aeterna serve --config aether.toml
  aeterna serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key --admin-token-file token

A program takes part with App("orders", server="localhost:7233"), or with AETERNA_SERVER set. Ctrl-C or TERM stops
gracefully: what is under way is committed, and workers keep their runs and look for another server.

Only this machine can reach it, unless --host says otherwise. Then it needs TLS and a token (`aeterna token create`),
and does not start without. Once there is a token everybody needs one, on this machine too.
"""

DEFAULT_DB = "./data/aether.db"
MODES = ("memory", "snapshot", "state-action-log")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--db", metavar="PATH_OR_URL", help=f"a file, or postgresql://... (default: {DEFAULT_DB})")
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--grpc-port", type=_port, metavar="PORT", help="default: 7233")
    parser.add_argument("--http-port", type=_port, metavar="PORT", help="default: the one after the gRPC port")
    parser.add_argument("--metrics-port", type=_port, metavar="PORT", help="Prometheus metrics, on a port of their own")
    parser.add_argument(
        "--persistence",
        choices=MODES,
        help="memory: nothing is kept; snapshot: a crash of the machine may cost the latest commits; "
        "state-action-log (the default): every commit is synced",
    )
    parser.add_argument("--retention", metavar="DURATION", help="delete runs that ended so long ago, like 30d (never)")
    parser.add_argument("--lease", type=float, metavar="SECONDS", help="how long a silent worker keeps its runs (10)")
    parser.add_argument("--tls-cert", metavar="FILE", help="the server's certificate with its chain, PEM: encrypt")
    parser.add_argument("--tls-key", metavar="FILE", help="the key of that certificate, PEM, without a password")
    parser.add_argument("--tls-client-ca", metavar="FILE", help="clients must show a certificate of this authority")
    parser.add_argument("--admin-token-file", metavar="FILE", help="holds a token that opens everything")
    parser.add_argument(
        "--config", metavar="FILE", help="a TOML file: [server], [security], [persistence], [limits], [metrics]"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from aeterna.server.settings import settle

    settings = settle(vars(args))
    # Loaded only when everything is known to be right: gRPC takes a while.
    import asyncio

    from aeterna.durable.stores.opening import open_namespaces
    from aeterna.server.serving import serve

    namespaces = open_namespaces(settings.url, synchronous=settings.is_synchronous)
    asyncio.run(serve(namespaces, settings.options, settings.place))
    return OK


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: use 0 (any free one) to 65535")
    return int(text)
