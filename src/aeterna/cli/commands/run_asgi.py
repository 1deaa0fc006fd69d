"""``aeterna run-asgi``."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Serve an ASGI application so that a reload costs no client a request. It runs on uvicorn's protocols, takes its
listening socket from the supervisor, and puts the handover middleware around the application.
"""

EPILOG = """\
MODULE:APP is importable from --app-dir, as for uvicorn: main:app, shop.web:create_app --factory.

One process serves. For more of them, let the supervisor run more of the service: what it replaces as a whole carries
its state as a whole.

examples:
  aeterna run-asgi main:app                       as the command of a service with a socket
  aeterna run-asgi main:app --socket admin --socket http
  aeterna run-asgi main:app --port 8000           by hand, without a supervisor

exit codes: 0 after TERM or Ctrl-C, 3 if the application cannot be imported or started, 2 for a wrong command line
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("app", metavar="MODULE:APP", help="where the application is")
    parser.add_argument(
        "--socket", action="append", default=[], metavar="NAME", help="serve on this inherited socket (the first one)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen when no socket is inherited (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="its port; 0 takes a free one (8000)")
    parser.add_argument("--loop", choices=["auto", "asyncio", "uvloop"], default="auto", help="the event loop")
    parser.add_argument("--http", choices=["auto", "h11", "httptools"], default="auto", help="the HTTP parser")
    parser.add_argument(
        "--ws",
        choices=["auto", "none", "websockets", "websockets-sansio", "wsproto"],
        default="auto",
        help="the WebSocket implementation",
    )
    parser.add_argument("--factory", action="store_true", help="APP is a function that returns the application")
    parser.add_argument("--app-dir", default="", metavar="DIR", help="where to look for MODULE (here)")
    parser.add_argument(
        "--log-level", choices=["critical", "error", "warning", "info", "debug", "trace"], default="info"
    )
    parser.add_argument("--no-access-log", action="store_true", help="do not log each request")
    parser.add_argument(
        "--lame-duck", type=float, metavar="SECONDS", help="how long clients may take to leave (1, or the service's)"
    )
    parser.add_argument(
        "--grace", type=float, default=30.0, metavar="SECONDS", help="when requests still running are cut (30)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    # Imported when it runs: the help needs no web server.
    from aeterna.handover.run_asgi import RunOptions, run_asgi

    options = RunOptions(
        app=args.app,
        sockets=tuple(args.socket),
        host=args.host,
        port=args.port,
        loop=args.loop,
        http=args.http,
        ws=args.ws,
        is_factory=args.factory,
        app_dir=args.app_dir,
        log_level=args.log_level,
        access_log=not args.no_access_log,
        lame_duck_ms=None if args.lame_duck is None else round(args.lame_duck * 1000),
        grace_ms=round(args.grace * 1000),
    )
    return run_asgi(options)
