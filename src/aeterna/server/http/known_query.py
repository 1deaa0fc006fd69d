"""No query parameter is passed over in silence: a list that was to be narrowed would be the whole list."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from aeterna.kernel.errors import UsageError
from aeterna.kernel.suggestions import did_you_mean

EVERYWHERE = "namespace"
"""Clients may send it with every request, also where it does not matter."""


async def known_query(request: Request) -> None:
    """Raises `UsageError` for a parameter that the route does not have."""
    route: APIRoute = request.scope["route"]
    known = {EVERYWHERE, *_names(route.dependant)}
    for name in request.query_params:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there are {', '.join(sorted(known))}"
            raise UsageError(f"there is no query parameter {name[:40]!r} here{hint}")


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for needed in dependant.dependencies:
        yield from _names(needed)
