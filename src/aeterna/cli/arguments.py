"""A workflow's arguments, from the words of a command line."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from aeterna.durable.core.events import Payload
from aeterna.durable.operations.event_records import value_of
from aeterna.durable.sdk.step import annotations_of
from aeterna.durable.sdk.workflow import Workflow
from aeterna.kernel.errors import UsageError


def encode_arguments(workflow: Workflow[..., Any], texts: Sequence[str], named: Sequence[tuple[str, str]]) -> Payload:
    """The arguments as recorded; raises `UsageError` if they do not fit the workflow."""
    parameters = list(inspect.signature(workflow.fn).parameters)[1:]
    kinds = annotations_of(workflow.fn)
    args = [_value(text, kinds.get(name)) for text, name in zip_longest(texts, parameters[: len(texts)])]
    kwargs = {name: _value(text, kinds.get(name)) for name, text in named}
    if len(kwargs) != len(named):
        raise UsageError("an argument is given twice with --kwarg")
    try:
        return workflow.encode_arguments(args, kwargs)
    except TypeError as error:
        signature = f"{workflow.name}({', '.join(parameters)})"
        raise UsageError(f"{error}; it is {signature}") from error


def same_arguments(workflow: Workflow[..., Any], recorded: Payload, given: Payload) -> bool:
    """Whether the two mean the same to the workflow as it is now, by place or by name."""
    return recorded == given or _by_name(workflow, recorded) == _by_name(workflow, given)


def named_argument(text: str) -> tuple[str, str]:
    """``NAME=VALUE``, taken apart."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE")
    return name, value


def _by_name(workflow: Workflow[..., Any], payload: Payload) -> Any:
    args, kwargs = value_of(payload)
    try:
        bound = inspect.signature(workflow.fn).bind(None, *args, **kwargs)
    except TypeError:
        return args, kwargs
    bound.apply_defaults()
    return bound.arguments


def _value(text: str, kind: object) -> Any:
    """JSON where it parses as JSON, else the text; also where a text is wanted and the JSON is none: an id of 42."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if kind is str and not isinstance(value, str) else value
