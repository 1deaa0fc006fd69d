"""The application as WSGI: every path says who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from bench.supervisor.apps.release import who_answers


def app(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]) -> Iterable[bytes]:
    """The WSGI entry point."""
    body, headers = who_answers()
    start_response("200 OK", [(name.decode(), value.decode()) for name, value in headers])
    return [body]
