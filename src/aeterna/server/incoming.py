"""What clients send, checked before anything is done with it: the same for every transport."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from aeterna.durable.core import codec
from aeterna.durable.core.events import Payload
from aeterna.durable.core.schedule import ScheduleSpec
from aeterna.durable.engine.calendars import timeline
from aeterna.durable.operations.start import StartRequest
from aeterna.kernel.errors import LimitExceededError, PayloadTooLargeError, UsageError
from aeterna.kernel.ids import check_run_id, new_run_id

NOTHING = Payload(b"jnull")
NO_ARGUMENTS = Payload(b"j[[],{}]")
DEFAULT_VERSION = "1"
QUERY_S = 10.0
BATCH_MAX = 1_000
DELETE_MAX = 10_000
REQUIRED_MAX = 64
CRON_MAX = 100
NAME_CHARS_MAX = 256
REASON_CHARS_MAX = 10_000
DELAY_US_MAX = 10 * 366 * 86_400 * 1_000_000
PRIORITY_MAX = 2**31 - 1
_TAGS = (codec.JSON_TAG, codec.BYTES_TAG)
_Arguments = tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]


def check_name(what: str, text: str) -> str:
    """A name as it came; raises `UsageError` if it is empty, too long or cannot be printed."""
    if not 0 < len(text) <= NAME_CHARS_MAX or not text.isprintable():
        raise UsageError(f"{what} {text[:40]!r} cannot be: 1 to {NAME_CHARS_MAX} characters that can be printed")
    return text


def check_reason(text: str) -> str:
    """Why something is done, in words; raises `LimitExceededError` if they are too many."""
    if len(text) > REASON_CHARS_MAX:
        raise LimitExceededError(f"the reason has {len(text)} characters, the limit is {REASON_CHARS_MAX}: shorten it")
    return text


def check_count(what: str, count: int, count_max: int) -> int:
    """A count as it came; raises `LimitExceededError` if it is too large."""
    if count > count_max:
        raise LimitExceededError(f"{what}: at most {count_max} at once, not {count}; ask several times")
    return count


def check_seconds(what: str, seconds: float) -> float:
    """A duration as it came; raises `UsageError` if it is none."""
    if not math.isfinite(seconds) or seconds < 0:
        raise UsageError(f"{what} is a number from 0 on, not {seconds}")
    return seconds


def check_payload(data: bytes, default: Payload, bytes_max: int) -> Payload:
    """An encoded value as it came, ``default`` for none; raises `UsageError` if it is none or is too large."""
    if not data:
        return default
    if len(data) > bytes_max:
        raise PayloadTooLargeError(f"a payload has at most {bytes_max:,} bytes, not {len(data):,}")
    if data[:1] not in _TAGS:
        raise UsageError("a payload begins with a byte that says how it is encoded: 'j' for JSON, 'b' for raw bytes")
    payload = Payload(data)
    codec.decode(payload, msgspec.Raw if data[:1] == codec.JSON_TAG else Any, "the payload")
    return payload


def check_arguments(data: bytes, bytes_max: int) -> Payload:
    """Encoded arguments as they came; raises `UsageError` unless they are ``[args, kwargs]``."""
    arguments = check_payload(data, NO_ARGUMENTS, bytes_max)
    codec.decode(arguments, _Arguments, "the arguments ([args, kwargs] in JSON)")
    return arguments


def check_start(request: StartRequest, bytes_max: int) -> StartRequest:
    """The request with an id and a version; raises `UsageError`."""
    if not 0 <= request.delay_us <= DELAY_US_MAX:
        raise UsageError(f"delay_us is 0 to {DELAY_US_MAX}, not {request.delay_us}")
    if abs(request.priority) > PRIORITY_MAX:
        raise UsageError(f"priority is -{PRIORITY_MAX} to {PRIORITY_MAX}, not {request.priority}")
    if request.debounce and not request.singleton:
        raise UsageError("debounce needs a singleton, which says which calls belong together")
    check_names(request)
    for what, text in (("singleton", request.singleton), ("affinity", request.affinity)):
        if text:
            check_name(what, text)
    return msgspec.structs.replace(
        request,
        id=check_run_id(request.id) if request.id else new_run_id(),
        version=request.version or DEFAULT_VERSION,
        arguments=check_arguments(request.arguments, bytes_max),
        singleton=request.singleton or None,
    )


def schedule_spec(text: str | bytes) -> ScheduleSpec:
    """A schedule's spec as it came, in JSON; raises `UsageError` for text that is none."""
    try:
        return msgspec.json.decode(text, type=ScheduleSpec)
    except msgspec.MsgspecError as error:
        raise UsageError(f"the spec is no schedule: {error}") from None


def check_schedule(schedule: str, spec: ScheduleSpec, bytes_max: int) -> tuple[str, ScheduleSpec]:
    """Both as they came; raises `UsageError` for what no run could be started with, and what `timeline` raises, which
    looks at the id, too."""
    if abs(spec.priority) > PRIORITY_MAX:
        raise UsageError(f"priority is -{PRIORITY_MAX} to {PRIORITY_MAX}, not {spec.priority}")
    check_names(spec)
    check_count("cron", len(spec.cron), CRON_MAX)
    check_reason(spec.note)
    timeline(schedule, spec)
    return schedule, msgspec.structs.replace(spec, arguments=check_arguments(spec.arguments, bytes_max))


def check_names(given: StartRequest | ScheduleSpec) -> None:
    """The names that say what a run is and who executes it; raises `UsageError`."""
    check_name("workflow", given.workflow)
    for what, text in (("version", given.version), ("queue", given.queue), ("share", given.share)):
        if text:
            check_name(what, text)
    check_count("requires", len(given.requires), REQUIRED_MAX)
    for capability in given.requires:
        check_name("requires", capability)
