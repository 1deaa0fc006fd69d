"""Where each value that is in force came from: the key that was written for it, by whichever name, or the default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aeterna.config.mistakes import KeyPath
from aeterna.config.nodes import Node, deepest, find
from aeterna.config.schema import SERVICE_KEYS

DEFAULT = "default"

_OTHER_NAMES: dict[KeyPath, tuple[KeyPath, ...]] = {
    ("orchestration", "canary", "soak_time"): (("orchestration", "soak_time"), ("orchestration", "canary", "enabled")),
    ("orchestration", "canary", "weights"): (("orchestration", "canary", "steps"),),
    ("orchestration", "canary", "health_check"): (("healthcheck",),),
    ("orchestration", "canary", "health_check", "exec"): (("orchestration", "canary", "health_check", "command"),),
    ("orchestration", "state_handoff", "enabled"): (("orchestration", "state_handoff", "mode"),),
    ("healthcheck", "exec"): (("healthcheck", "test"), ("healthcheck", "command")),
    ("limits", "memory"): (("mem_limit",),),
    ("limits", "cpus"): (("cpus",),),
    ("restart_policy", "max_attempts"): (("restart",),),
    ("cwd",): (("working_dir",),),
    ("env",): (("environment",),),
    ("command",): (("binary_path",),),
    ("group",): (("user",),),
    ("sockets", "http", "listen"): (("env", "PORT"), ("environment", "PORT")),
}
"""Keys of a service, and what may have been written for them instead. A path stands for those below it too."""


_SHORT_FOR = frozenset({("listen",), ("command",)})
"""Keys that a text or list alone may stand for."""


def origin_of(root: Node, path: KeyPath) -> str:
    """The origin of the value at that path of the effective configuration, as a file's line, a variable, an option."""
    for candidate in _candidates(root, path):
        node, found = deepest(root, candidate)
        is_short = isinstance(node.value, (str, list)) and candidate[len(found) :] in _SHORT_FOR
        if found == candidate or is_short:
            return node.origin
    return DEFAULT


def _candidates(root: Node, path: KeyPath) -> Iterator[KeyPath]:
    """The paths at which the value may have been written, the best first."""
    base, own = _taken_apart(root, path)
    for other in [own, *_renamed(own)]:
        if base == ("service",) and other[0] in SERVICE_KEYS and find(root, (*base, other[0])) is None:
            yield other
        else:
            yield (*base, *other)


def _taken_apart(root: Node, path: KeyPath) -> tuple[KeyPath, KeyPath]:
    """The path of the service, and the one within it. What is in force shows a single service in the form of one."""
    if path[0] == "services":
        return path[:2], path[2:]
    if path[0] != "service" and path[0] not in SERVICE_KEYS:
        return (), path
    services = root.child("services")
    base: KeyPath = ("service",)
    if services is not None and isinstance(services.value, dict):
        base = ("services", next(iter(services.value), ""))
    return base, path[1:] if path[0] == "service" else path


def _renamed(own: KeyPath) -> Iterator[KeyPath]:
    for length in range(len(own), 0, -1):
        for other in _OTHER_NAMES.get(own[:length], ()):
            renamed: KeyPath = (*other, *own[length:])
            yield renamed
            # A probe that is taken over may itself have been written in another way.
            yield from _renamed(renamed) if other == ("healthcheck",) else ()


def leaves(entries: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value of a document with its path; lists of texts and numbers, and empty mappings, are values."""
    if isinstance(entries, dict) and entries:
        for key, value in entries.items():
            yield from leaves(value, (*path, key))
    elif isinstance(entries, list) and any(isinstance(item, dict) for item in entries):
        for number, item in enumerate(entries):
            yield from leaves(item, (*path, number))
    else:
        yield path, entries
