"""The older and the shorter ways of writing things, brought to one.

Lists where there are mappings now, two names for one key, a port in the environment instead of a socket, and a second
switch beside the strategy. Where two ways are used at once and disagree, that is a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from aeterna.config.addresses import EVERYWHERE, parse_port
from aeterna.config.findings import Findings
from aeterna.config.mistakes import KeyPath, UnfitError, key_path
from aeterna.config.nodes import Node, find
from aeterna.config.spec import SocketSpec

T = TypeVar("T")


def with_mappings(root: Node, variables: Mapping[str, str], findings: Findings) -> Node:
    """The tree with ``services`` and every ``env`` as mappings, each entry with its own place."""
    root = _replaced(root, "services", lambda node: _services(node, findings))
    services = find(root, ("services",))
    if services is not None and isinstance(services.value, dict):
        every = {
            name: _with_variables(service, ("services", name), variables, findings)
            for name, service in services.value.items()
        }
        root = _replaced(root, "services", lambda node: Node(every, node.place))
    return _replaced(root, "service", lambda node: _with_variables(node, ("service",), variables, findings))


def _replaced(node: Node, key: str, change: Callable[[Node], Node]) -> Node:
    child = node.child(key)
    if child is None or not isinstance(node.value, dict):
        return node
    return Node(node.value | {key: change(child)}, node.place)


def _services(node: Node, findings: Findings) -> Node:
    """A list of services as a mapping by their names."""
    if not isinstance(node.value, list):
        return node
    found: dict[str, Node] = {}
    for number, service in enumerate(node.value):
        path: KeyPath = ("services", number)
        name = service.child("name")
        if name is None or not isinstance(name.value, str):
            findings.mistake((*path, "name"), "it is missing", "`name:` with what the service is called", of_key=True)
        elif name.value in found:
            wrong = f"two services have that name, the other in line {found[name.value].place.line}"
            findings.mistake((*path, "name"), wrong, "another name")
        else:
            found[name.value] = service
    return Node(found, node.place)


def _with_variables(service: Node, path: KeyPath, variables: Mapping[str, str], findings: Findings) -> Node:
    for key in ("env", "environment"):
        own_path: KeyPath = (*path, key)
        change = partial(_variables, path=own_path, variables=variables, findings=findings)
        service = _replaced(service, key, change)
    return service


def _variables(node: Node, path: KeyPath, variables: Mapping[str, str], findings: Findings) -> Node:
    """``KEY=VALUE`` lists as mappings; a name alone takes its value from the environment, or is left out."""
    found: dict[str, Node] = {}
    for item_path, name, child in _named(node, path, findings):
        if name in found:
            wrong = f"the variable stands twice, first in line {found[name].place.line}"
            findings.mistake(item_path, wrong, "one of them")
        elif not name or "=" in name:
            findings.mistake(item_path, f"{name!r} is no name of a variable", "NAME=VALUE")
        elif child.value is not None:
            found[name] = child
        elif name in variables:
            found[name] = Node(variables[name], child.place, f"${{{name}}}")
    return Node(found, node.place) if isinstance(node.value, (dict, list)) else node


def _named(node: Node, path: KeyPath, findings: Findings) -> Iterator[tuple[KeyPath, str, Node]]:
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            if not name.startswith("x-"):
                yield (*path, name), name, child
    elif isinstance(node.value, list):
        for number, item in enumerate(node.value):
            item_path: KeyPath = (*path, number)
            if isinstance(item.value, str):
                name, equals, value = item.value.partition("=")
                yield item_path, name, Node(value if equals else None, item.place, item.via)
            else:
                findings.mistake(item_path, "it is no variable", '"NAME=VALUE"')


def one_of(findings: Findings, *written: tuple[KeyPath, T | None], right: str = "") -> T | None:
    """The value that one of several names of a key was given; two that disagree are a mistake."""
    given = [(path, value) for path, value in written if value is not None]
    if not given:
        return None
    first_path, first = given[0]
    for path, value in given[1:]:
        if value != first:
            wrong = f"{key_path(first_path)} in {findings.line_of(first_path)} means the same and says otherwise"
            findings.mistake(path, wrong, right or f"one of the two, best {key_path(first_path)}")
    return first


def soak_ms(
    findings: Findings, canary: KeyPath, orchestration: KeyPath, new: int | None, old: int | None
) -> int | None:
    """``canary.soak_time``, or its older name one level above it."""
    old_path: KeyPath = (*orchestration, "soak_time")
    new_path: KeyPath = (*canary, "soak_time")
    if old is not None:
        findings.warn(old_path, f"deprecated: write {key_path(new_path)}")
    return one_of(findings, (new_path, new), (old_path, old))


def socket_of_port(findings: Findings, path: KeyPath, environment: Mapping[str, str]) -> SocketSpec | None:
    """The socket of a service that has none but is told a port by its ``PORT``: ``http`` on all addresses."""
    written = environment.get("PORT")
    if written is None:
        return None
    try:
        port = parse_port(written)
    except UnfitError as unfit:
        right = "a number; or `sockets:` with the socket to hold, or `sockets: {}` for none"
        findings.mistake(path, f"{unfit.wrong}, and without `sockets:` PORT is the socket to hold", right)
        return None
    return SocketSpec(name="http", family="tcp4", host=EVERYWHERE, port=port)
