"""Names in the paths of requests."""

from __future__ import annotations


def quoted(name: str) -> str:
    """The name as a segment of a path."""
    if name.isascii() and name.replace("-", "a").replace("_", "a").replace(".", "a").isalnum():
        return name
    # Loading this takes a while, and nearly no name needs it.
    from urllib.parse import quote

    return quote(name, safe="")
