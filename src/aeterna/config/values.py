"""The kinds of values that keys have: each reads the text that was written, or says what is wrong with it.

Values arrive as texts from every layer (a file, a variable, the command line), so all of them read the same.
"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from aeterna.config.addresses import EVERYWHERE, LOOPBACK, parse_address, parse_port
from aeterna.config.durations import EXAMPLES as DURATIONS
from aeterna.config.durations import format_duration, parse_duration
from aeterna.config.mistakes import UnfitError
from aeterna.config.shapes import Compound, Scalar
from aeterna.config.sizes import EXAMPLES as SIZES
from aeterna.config.sizes import format_size, parse_size
from aeterna.config.spec import RestartRule
from aeterna.kernel.suggestions import did_you_mean

E = TypeVar("E", bound=StrEnum)

HTTP_URL = re.compile(r"http://(?P<host>\[[^\]\s]+\]|[^/\s?#:@]+)(?::(?P<port>[0-9]+))?(?P<rest>[/?]\S*)?")

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_TEXT: dict[str, Any] = {"type": "string"}
_TEXT_OR_NUMBER: dict[str, Any] = {"type": ["string", "number"]}
_WORDS: dict[str, Any] = {"type": "array", "items": _TEXT_OR_NUMBER, "minItems": 1}


def _truth(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise UnfitError("it is neither true nor false", "true or false")


def whole(least: int, most: int, what: str) -> Scalar:
    """A whole number between the two, both included."""
    right = f"{what} from {least} to {most}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9][0-9_]*", text) or not least <= int(text) <= most:
            raise UnfitError("it is no such number", right)
        return int(text)

    return Scalar(parse, "number", right, {"type": "integer", "minimum": least, "maximum": most}, int)


def fraction(least: float, most: float, what: str) -> Scalar:
    """A number between the two, both included; a percentage is a hundredth."""
    right = f"{what} from {least:g} to {most:g}"

    def parse(text: str) -> float:
        try:
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            raise UnfitError("it is no number", right) from None
        if not least <= number <= most:
            raise UnfitError("it is out of range", right)
        return number

    return Scalar(parse, "number", right, {"type": ["number", "string"], "minimum": least, "maximum": most}, float)


def choice(kind: type[E], aliases: Mapping[str, E] | None = None) -> Scalar:
    """One of the words of an enumeration, or another word for one of them."""
    words = {str(member): member for member in kind}
    known = words | dict(aliases or {})

    def parse(text: str) -> E:
        found = known.get(text.lower().replace("_", "-"))
        if found is None:
            raise UnfitError("there is no such choice", f"{' or '.join(words)}{did_you_mean(text, known)}")
        return found

    return Scalar(parse, " \\| ".join(f"`{word}`" for word in words), " or ".join(words), {"enum": list(known)})


def _signal(text: str) -> int:
    names = {member.name: member.value for member in signal.Signals}
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if name in names:
        return int(names[name])
    if text.isdecimal() and int(text) in names.values():
        return int(text)
    raise UnfitError(
        "there is no such OS signal", f"SIGTERM, SIGINT or SIGQUIT, for example{did_you_mean(name, names)}"
    )


def _words(value: Any) -> tuple[str, ...]:
    """A command: a list of texts, or one text that is split as a shell would; raises `UnfitError`."""
    right = 'a list like ["python", "main.py"], or a text like "python main.py"'
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise UnfitError(f"it cannot be split into words: {str(error).lower()}", right) from None
    if not isinstance(value, (list, tuple)):
        raise UnfitError("it is no command", right)
    if not value or not value[0]:
        raise UnfitError("it names no program", right)
    for word in value:
        if not isinstance(word, str):
            raise UnfitError("one of its words is no text", right)
    return tuple(value)


def _permissions(text: str) -> int:
    digits = text.removeprefix("0o")
    if not re.fullmatch(r"0*[0-7]{3}", digits):
        raise UnfitError("it is no file mode", 'three octal digits, like "0660"')
    return int(digits, 8)


def _percentages(value: Any) -> tuple[int, ...]:
    """Weights: a list, or texts with commas between; raises `UnfitError`. What they are together is checked later."""
    right = "whole percentages that rise to 100, like [5, 25, 100]"
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, (list, tuple)):
        raise UnfitError("these are no weights", right)
    return tuple(_percentage(item, right) for item in value)


def _percentage(item: Any, right: str) -> int:
    digits = item.removesuffix("%") if isinstance(item, str) else ""
    if not re.fullmatch(r"[0-9]{1,3}", digits) or not 1 <= int(digits) <= 100:
        raise UnfitError(f"{item!r} is no percentage from 1 to 100", right)
    return int(digits)


def _cpus(value: Any) -> tuple[int, ...]:
    """Numbers of processors: a list, or a text like ``0-3,6``; raises `UnfitError`."""
    right = 'numbers of processors, like [0, 1] or "0-3,6"'
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise UnfitError("these are no processors", right)
    found: set[int] = set()
    for part in parts:
        ends = re.fullmatch(r"\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\s*", str(part))
        if ends is None or int(ends[2] or ends[1]) < int(ends[1]):
            raise UnfitError(f"{part!r} is no processor", right)
        found.update(range(int(ends[1]), int(ends[2] or ends[1]) + 1))
    return tuple(sorted(found))


def _restart(text: str) -> tuple[RestartRule, int | None]:
    """The rule, and the number of deaths it allows if one is given."""
    rule, colon, attempts = text.partition(":")
    rules = {str(member): member for member in RestartRule} | {"false": RestartRule.NO, "never": RestartRule.NO}
    if rule not in rules:
        raise UnfitError("there is no such rule", f"{' or '.join(RestartRule)}{did_you_mean(text, rules)}")
    if not colon:
        return rules[rule], None
    if rules[rule] is not RestartRule.ON_FAILURE or not re.fullmatch("[0-9]{1,4}", attempts):
        raise UnfitError("only on-failure takes a number of times", 'one like "on-failure:5"')
    return rules[rule], int(attempts)


def _test(value: Any) -> tuple[str, ...]:
    """Compose's test as a command; empty for NONE."""
    right = '["CMD", "curl", "-f", "http://127.0.0.1/"], ["CMD-SHELL", "..."], a shell command, or ["NONE"]'
    parts = ["CMD-SHELL", value] if isinstance(value, str) and value != "NONE" else value
    match parts:
        case "NONE" | ["NONE"]:
            return ()
        case ["CMD-SHELL", str(line)] if line:
            return ("/bin/sh", "-c", line)
        case ["CMD", *rest] if rest and all(isinstance(word, str) for word in rest):
            return tuple(rest)
        case _:
            raise UnfitError("it is no test", right)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise UnfitError(f"it is no regular expression: {error}", "one that Python's re module reads") from None
    return text


def _url(text: str) -> str:
    right = 'a path like "/health", or "http://127.0.0.1:8080/health"'
    if text.startswith("/"):
        return text
    if text.startswith("https://"):
        raise UnfitError("probes speak plain HTTP", right)
    found = HTTP_URL.fullmatch(text)
    if found is None:
        raise UnfitError("it is no address of a page", right)
    if found["port"]:
        parse_port(found["port"])
    return text


def _path(text: str) -> str:
    if not text:
        raise UnfitError("it is no path", "a path, absolute or relative to the configuration's directory")
    return text


def _positive_duration(text: str) -> int:
    found = parse_duration(text)
    if not found:
        raise UnfitError("it must be longer than nothing", DURATIONS)
    return found


def _tcp_or_off(bare_host: str) -> Scalar:
    """A TCP address as ``HOST:PORT``, or empty where none is wanted."""

    def parse(text: str) -> str:
        if text.lower() in {"off", "false", "no", "none", ""}:
            return ""
        address = parse_address(text, bare_host)
        if address.family == "unix":
            raise UnfitError("it is no TCP address", f'"{bare_host}:9091", ":9091", 9091 or off')
        return str(address)

    return Scalar(parse, "address", "HOST:PORT", {"type": ["string", "integer", "boolean"]}, lambda text: text or "off")


def _restart_text(value: tuple[RestartRule, int | None]) -> str:
    rule, attempts = value
    return str(rule) if attempts is None else f"{rule}:{attempts}"


TRUTH = Scalar(_truth, "`true` \\| `false`", "true or false", {"type": "boolean"}, bool)
DURATION = Scalar(
    parse_duration,
    "duration",
    DURATIONS,
    _TEXT | {"pattern": r"^0$|^([0-9.]+(d|h|m|s|ms|us|µs|ns))+$"},
    format_duration,
)
POSITIVE_DURATION = DURATION._replace(parse=_positive_duration)
SIZE = Scalar(parse_size, "size", SIZES, {"type": ["string", "integer"]}, format_size)
OS_SIGNAL = Scalar(
    _signal,
    "OS signal",
    "the name of an OS signal, like SIGTERM",
    {"type": ["string", "integer"]},
    lambda number: signal.Signals(number).name,
)
PERMISSIONS = Scalar(
    _permissions,
    "octal digits",
    'octal digits, like "0660"',
    {"type": ["string", "integer"]},
    lambda mode: f"{mode:04o}",
)
PATTERN = Scalar(_pattern, "regular expression", "a regular expression", _TEXT | {"format": "regex"})
FILE_PATH = Scalar(_path, "path", "a path", _TEXT)
URL = Scalar(_url, "path or URL", 'a path like "/health", or a URL', _TEXT)
LISTEN = Scalar(parse_address, "address", "HOST:PORT", {"type": ["string", "integer"]})
TEXT = Scalar(str, "text", "a text", _TEXT_OR_NUMBER)
RESTART = Scalar(_restart, "rule", " or ".join(RestartRule), {"type": ["string", "boolean"]}, _restart_text)

WORDS = Compound(_words, "command", {"anyOf": [_TEXT, _WORDS]})
TEST = Compound(_test, "command", {"anyOf": [_TEXT, _WORDS]}, lambda words: ["CMD", *words] if words else ["NONE"])
PERCENTAGES = Compound(
    _percentages,
    "percentages",
    {"anyOf": [{"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 1}, _TEXT]},
)
CPUS = Compound(_cpus, "processors", {"type": ["array", "string", "integer"], "items": {"type": "integer"}})
METRICS_ADDRESS = _tcp_or_off(EVERYWHERE)
CONTROL_ADDRESS = _tcp_or_off(LOOPBACK)
