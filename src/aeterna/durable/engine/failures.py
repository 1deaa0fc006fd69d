"""Exceptions to records and back.

An exception comes back as itself when it survives the trip: its class can be found by name, its ``args`` can be
recorded, and the class makes an equal exception from them. Otherwise it comes back as `StepFailed`. The same answer
is given live and on replay, because it is decided once, when the record is made."""

from __future__ import annotations

import importlib
import traceback
from typing import Any

from aeterna.durable.core import codec
from aeterna.durable.core.events import ErrorRecord
from aeterna.kernel.errors import SerializationError, StepFailed

TRACEBACK_CHARS_MAX = 16_000
MESSAGE_CHARS_MAX = 8_000
ARGUMENTS_BYTES_MAX = 64 * 1024


def record_error(error: BaseException) -> ErrorRecord:
    """The record of an exception with its type, message and traceback."""
    return ErrorRecord(
        type=_recordable(f"{type(error).__module__}:{type(error).__qualname__}"),
        message=_recordable(_message(error)[:MESSAGE_CHARS_MAX]),
        traceback=_recordable(_traceback(error)[-TRACEBACK_CHARS_MAX:]),
        arguments=_round_trip(error),
    )


def rebuild_error(record: ErrorRecord, step: str) -> BaseException:
    """The exception a workflow sees for a recorded failure of ``step``.

    Raises `SerializationError` if the record says the exception can be rebuilt and its class is not there any more.
    """
    if record.arguments is not None:
        kind = _find(record.type)
        if kind is None:
            raise SerializationError(
                f"the error of step {step!r} was recorded as {record.type}, which cannot be imported here any more"
            )
        arguments = codec.decode(record.arguments, Any, f"the error of step {step!r}")
        try:
            error = kind(*arguments)
        except Exception as problem:
            raise SerializationError(
                f"the error of step {step!r} was recorded as {record.type}{tuple(arguments)!r}, and its class does not "
                f"take these arguments any more: {problem!r}"
            ) from problem
    else:
        error = StepFailed(step, record.type.replace(":", "."), record.message, record.traceback)
    error.add_note(f"recorded by step {step!r}:\n{record.traceback.rstrip()}")
    return error


def _round_trip(error: BaseException) -> Any:
    if not isinstance(error, Exception):
        return None
    kind = type(error)
    if _find(f"{kind.__module__}:{kind.__qualname__}") is not kind:
        return None
    try:
        arguments = codec.encode(error.args, "the error's arguments", ARGUMENTS_BYTES_MAX)
        again = kind(*codec.decode(arguments, Any, "the error's arguments"))
        is_same = again.args == error.args and _message(again) == _message(error) and _state(again) == _state(error)
    except Exception:  # noqa: BLE001 - constructor and __eq__ are the user's: what they raise means "cannot be rebuilt"
        return None
    return arguments if is_same else None


def _state(error: BaseException) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ of the user's must not hide the error it belongs to
        return f"<{type(error).__qualname__} whose str() fails>"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - formatting calls the user's __str__ and __repr__ along the chain of causes
        return f"<the traceback of {type(error).__qualname__} cannot be formatted>"


def _recordable(text: str) -> str:
    """The text without what UTF-8 cannot hold (lone surrogates, as undecodable file names bring along)."""
    return text.encode("utf-8", "replace").decode()


def _find(name: str) -> type[BaseException] | None:
    module, _, qualname = name.partition(":")
    if "<locals>" in qualname:
        return None
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None
