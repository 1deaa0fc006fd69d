"""What a key may take, as data: one declaration from which values are read, hints given, and schemas and pages made.

A section is a record whose fields are annotated with a `Key`. Reading goes on after a mistake, so that all of them are
found; what it returns then is incomplete and must not be used. A library of models would do the same, but loading one
and building some twenty-five models takes longer (150 ms) than everything else that a reload does before the new
process starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, TypeVar

from msgspec import NODEFAULT, Struct

from aeterna.config.findings import Findings
from aeterna.config.mistakes import KeyPath, UnfitError, key_path
from aeterna.config.nodes import Node, plain
from aeterna.kernel.suggestions import did_you_mean


class Section(Struct, frozen=True, kw_only=True):
    """A mapping whose keys are known; those that begin with ``x-`` are free."""


S = TypeVar("S", bound=Section)


class Scalar(NamedTuple):
    """A single text. ``parse`` raises `UnfitError`; ``show`` gives it as people write it; ``name`` stands in tables."""

    parse: Callable[[str], Any]
    name: str
    right: str
    schema: dict[str, Any]
    show: Callable[[Any], Any] = str


class Compound(NamedTuple):
    """A list, mapping or text that is read as a whole."""

    parse: Callable[[Any], Any]
    name: str
    schema: dict[str, Any]
    show: Callable[[Any], Any] = list


class Sub(NamedTuple):
    """A section; a text or list alone is short for its key ``short``."""

    section: type[Section]
    short: str = ""


class ListOf(NamedTuple):
    """A list of what ``item`` takes."""

    item: Shape


class MappingOf(NamedTuple):
    """A mapping of names to what ``item`` takes. ``or_list``: a list is accepted too, and made a mapping before."""

    item: Shape
    or_list: bool = False


class Anything(NamedTuple):
    """Whatever was written, unread."""


Shape = Scalar | Compound | Sub | ListOf | MappingOf | Anything


class Key(NamedTuple):
    """What a key takes and means. ``default``: what is shown where the field's own default says nothing."""

    shape: Shape
    meaning: str
    default: Any = None


@cache
def keys_of(section: type[Section]) -> dict[str, Key]:
    """The section's keys in the order of its declaration, the inherited ones last."""
    found: dict[str, Key] = {}
    for kind in section.__mro__:
        for name, annotation in vars(kind).get("__annotations__", {}).items():
            for extra in getattr(annotation, "__metadata__", ()):
                if isinstance(extra, Key):
                    found[name] = extra
    return found


def required_keys(section: type[Section]) -> list[str]:
    """The keys that cannot be left out."""
    return [name for name in keys_of(section) if default_of(section, name) is NODEFAULT]


def default_of(section: type[Section], name: str) -> Any:
    """The field's default, or `msgspec.NODEFAULT` if it cannot be left out."""
    # Defaults are those of the last fields, with marks between them for fields that have none.
    fields, defaults = section.__struct_fields__, section.__struct_defaults__
    number = fields.index(name) - (len(fields) - len(defaults))
    return defaults[number] if number >= 0 else NODEFAULT


class Reading(NamedTuple):
    """One reading: where its findings go, and the section that all others are below, for hints."""

    findings: Findings
    top: type[Section]


def read_section(section: type[S], node: Node, path: KeyPath, reading: Reading) -> S:
    """The section that was written there. Mistakes go to the findings; what is returned with one is incomplete."""
    findings = reading.findings
    keys = keys_of(section)
    values: dict[str, Any] = {}
    if not isinstance(node.value, dict):
        wrong = "it has no value" if node.value is None else "it is no mapping"
        findings.mistake(path, wrong, f"keys below it: {', '.join(keys)}")
        return section(**dict.fromkeys(required_keys(section)))
    for name, child in node.value.items():
        if name.startswith("x-"):
            continue
        key = keys.get(name)
        if key is None:
            _refuse_key(section, (*path, name), reading)
        elif child.value is not None:
            found = read(key.shape, child, (*path, name), reading)
            if found is not _UNREAD:
                values[name] = found
    for name in required_keys(section):
        if name not in values:
            if name not in node.value or node.value[name].value is None:
                findings.missing((*path, name), keys[name].meaning)
            values[name] = None
    return section(**values)


_UNREAD = object()


def read(shape: Shape, node: Node, path: KeyPath, reading: Reading) -> Any:
    """The value that was written there, or a mark that it could not be read."""
    try:
        match shape:
            case Scalar():
                return shape.parse(_text(node, shape.right))
            case Compound():
                return shape.parse(plain(node))
            case Sub():
                if shape.short and not isinstance(node.value, dict):
                    node = Node({shape.short: node}, node.place)
                return read_section(shape.section, node, path, reading)
            case ListOf():
                return tuple(_items(shape, node, path, reading))
            case MappingOf():
                return dict(_entries(shape, node, path, reading))
            case Anything():
                return plain(node)
    except UnfitError as unfit:
        reading.findings.mistake(path, unfit.wrong, unfit.right)
        return _UNREAD


def _text(node: Node, right: str) -> str:
    if isinstance(node.value, str):
        return node.value
    raise UnfitError(f"it is a {'mapping' if isinstance(node.value, dict) else 'list'}", right)


def _items(shape: ListOf, node: Node, path: KeyPath, reading: Reading) -> Iterator[Any]:
    if not isinstance(node.value, list):
        raise UnfitError("it is no list", "a list: lines that begin with `- `, or [ ... ]")
    for number, item in enumerate(node.value):
        found = read(shape.item, item, (*path, number), reading)
        if found is not _UNREAD:
            yield found


def _entries(shape: MappingOf, node: Node, path: KeyPath, reading: Reading) -> Iterator[tuple[str, Any]]:
    if not isinstance(node.value, dict):
        raise UnfitError("it is no mapping", "names with something below each")
    for name, child in node.value.items():
        if not name.startswith("x-"):
            found = read(shape.item, child, (*path, name), reading)
            if found is not _UNREAD:
                yield name, found


_FORMS = frozenset({"service", "services"})
"""Below these stand the same keys once more; a hint names each only once."""


def _refuse_key(section: type[Section], path: KeyPath, reading: Reading) -> None:
    name = str(path[-1])
    near = did_you_mean(name, keys_of(section))
    homes = {key_path(home) for home, _, _ in all_keys(reading.top) if home[-1] == name and home[0] not in _FORMS}
    if near:
        right = near.removeprefix("; ")
    elif homes:
        right = f"{name!r} stands in {' or '.join(sorted(homes))}"
    else:
        right = f"one of {', '.join(keys_of(section))}"
    reading.findings.mistake(path, "there is no such key", right, of_key=True)


def all_keys(section: type[Section], path: KeyPath = ()) -> Iterator[tuple[KeyPath, Key, type[Section]]]:
    """Every key below a section with its path and the section it stands in; ``NAME`` and ``[]`` stand for the names
    of mappings and the numbers of lists."""
    for name, key in keys_of(section).items():
        yield (*path, name), key, section
        shape: Shape = key.shape
        below: KeyPath = (*path, name)
        while isinstance(shape, (ListOf, MappingOf)):
            below = (*below, "NAME" if isinstance(shape, MappingOf) else "[]")
            shape = shape.item
        if isinstance(shape, Sub):
            yield from all_keys(shape.section, below)
