"""The body of an order: a JSON object of few fields, each checked, each mistake named with what would be right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aeterna.config.spec import Strategy
from aeterna.kernel.suggestions import did_you_mean
from aeterna.supervisor.control.answers import problem
from aeterna.supervisor.control.contract import Verb

_TEXT_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of an order's body: the type of its JSON value, in words and for checking."""

    kind: type
    words: str


_FIELDS: Mapping[str, _Field] = {
    "reason": _Field(str, "a text"),
    "force": _Field(bool, "true or false"),
    "strategy": _Field(str, "a text"),
    "weight": _Field(int, "a whole number"),
}
_FIELDS_OF: Mapping[Verb, tuple[str, ...]] = {
    Verb.RELOAD: ("reason", "force", "strategy"),
    Verb.CANARY: ("reason", "weight"),
}
STRATEGIES = tuple(strategy.value for strategy in Strategy)


def fields_of(body: bytes, verb: Verb) -> dict[str, Any]:
    """The fields of an order's body, checked; an empty body has none. Raises `ProblemError` that says what is wrong."""
    if not body.strip():
        fields: Any = {}
    else:
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise problem(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    known = _FIELDS_OF.get(verb, ("reason",))
    for name, value in fields.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"; there is {', '.join(known)}"
            raise problem(HTTPStatus.BAD_REQUEST, f"{verb} has no field {name!r}{hint}")
        wanted = _FIELDS[name]
        if type(value) is not wanted.kind:
            raise problem(HTTPStatus.BAD_REQUEST, f"{name} is {wanted.words}, not {json.dumps(value)[:80]}")
    _check_values(fields, verb)
    return fields


def _check_values(fields: Mapping[str, Any], verb: Verb) -> None:
    strategy = fields.get("strategy", "")
    if strategy and strategy not in STRATEGIES:
        hint = did_you_mean(strategy, STRATEGIES) or f"; there are {' and '.join(STRATEGIES)}"
        raise problem(HTTPStatus.BAD_REQUEST, f"there is no strategy {strategy!r}{hint}")
    reason = fields.get("reason", "")
    if len(reason) > _TEXT_CHARS_MAX or not reason.isprintable():
        raise problem(HTTPStatus.BAD_REQUEST, f"reason is one line of at most {_TEXT_CHARS_MAX} characters")
    if verb is Verb.CANARY and not 0 <= fields.get("weight", -1) <= 100:
        raise problem(HTTPStatus.BAD_REQUEST, "weight is needed: 0 to 100, the percent of new connections")
