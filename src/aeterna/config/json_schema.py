"""The schema as JSON Schema, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from msgspec import NODEFAULT

from aeterna.config.schema import Document
from aeterna.config.shapes import (
    Anything,
    Compound,
    Key,
    ListOf,
    MappingOf,
    Scalar,
    Section,
    Shape,
    Sub,
    default_of,
    keys_of,
    required_keys,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a whole configuration."""
    definitions: dict[str, Any] = {}
    whole = _section(Document, definitions)
    return {"$schema": DIALECT, "title": "Aeterna configuration", **whole, "$defs": dict(sorted(definitions.items()))}


def default_text(section: type[Section], name: str, key: Key) -> Any:
    """The default as people write it; None if there is none to show."""
    if key.default is not None:
        return key.default
    value = default_of(section, name)
    if value is None or value is NODEFAULT or isinstance(key.shape, (Sub, Anything)):
        return None
    if isinstance(key.shape, (Scalar, Compound)):
        return key.shape.show(value)
    return list(value)


def _section(section: type[Section], definitions: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, key in keys_of(section).items():
        found = _shape(key.shape, definitions)
        properties[name] = found | {"description": key.meaning}
        default = default_text(section, name, key)
        if default is not None:
            properties[name]["default"] = default
    found = {
        "type": "object",
        "description": " ".join((section.__doc__ or "").split()),
        "properties": properties,
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    required = required_keys(section)
    return found | ({"required": required} if required else {})


def _shape(shape: Shape, definitions: dict[str, Any]) -> dict[str, Any]:
    match shape:
        case Scalar() | Compound():
            return dict(shape.schema)
        case Sub():
            return _sub(shape, definitions)
        case ListOf():
            return {"type": "array", "items": _shape(shape.item, definitions)}
        case MappingOf():
            item = _shape(shape.item, definitions)
            mapping = {"type": "object", "additionalProperties": item}
            listed = item if isinstance(shape.item, Sub) else {"type": "string"}
            return {"anyOf": [mapping, {"type": "array", "items": listed}]} if shape.or_list else mapping
        case Anything():
            return {}


def _sub(shape: Sub, definitions: dict[str, Any]) -> dict[str, Any]:
    name = shape.section.__name__
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _section(shape.section, definitions)
    reference = {"$ref": f"#/$defs/{name}"}
    if not shape.short:
        return reference
    return {"anyOf": [_shape(keys_of(shape.section)[shape.short].shape, definitions), reference]}
