"""Counts that may only fall. ``ratchet.json`` holds where they stand.

``python -m tests.tidy.ratchet`` shows recorded and present numbers; ``--write`` records the lower ones, ``--raise`` the
higher ones too (say why in the commit message).
"""

from __future__ import annotations

import argparse
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.tidy import rules
from tests.tidy.source import Source, broad_handlers, functions, sources

RATCHET = Path(__file__).with_name("ratchet.json")
# Written in two parts, so that the patterns do not count themselves.
_REMARKS = {
    "pragma no cover": re.compile(r"#\s*pragma:" + r"\s*no (cover|branch)"),
    "noqa": re.compile(r"#\s*noqa" + r"\b"),
    "type ignore": re.compile(r"#\s*type:" + r"\s*ignore"),
}


@functools.cache
def measure() -> dict[str, int]:
    """The present numbers, by name."""
    package = [source for source in sources() if source.is_package_code]
    rest = [source for source in sources() if not source.is_package_code]
    return {
        "broad except in src": sum(1 for source in package for _ in broad_handlers(source)),
        **_sizes("src", package),
        **_sizes("tests", rest),
        **_remarks("src", package),
        # Type tests contain calls that must not check: there an ignored error is the assertion.
        **_remarks("tests", [source for source in rest if not source.path.startswith("tests/typing/")]),
    }


def _sizes(where: str, files: Sequence[Source]) -> dict[str, int]:
    return {
        f"functions over {rules.FUNCTION_AIM} lines in {where}": sum(
            function.lines > rules.FUNCTION_AIM for source in files for function in functions(source)
        ),
        f"files over {rules.FILE_AIM} lines in {where}": sum(len(source.lines) > rules.FILE_AIM for source in files),
    }


def _remarks(where: str, files: Sequence[Source]) -> dict[str, int]:
    return {
        f"{name} in {where}": sum(len(pattern.findall(line)) for source in files for line in source.lines)
        for name, pattern in _REMARKS.items()
    }


def recorded() -> dict[str, int]:
    """The numbers of ``ratchet.json``."""
    numbers: dict[str, int] = json.loads(RATCHET.read_text(encoding="utf-8")) if RATCHET.exists() else {}
    return numbers


def merge(old: Mapping[str, int], new: Mapping[str, int], *, may_rise: bool) -> dict[str, int]:
    """What to record next: the present number where it is lower, new, or allowed to rise; names that are gone go."""
    return {name: count if may_rise else min(count, old.get(name, count)) for name, count in new.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the numbers and, if asked, record them. Returns 1 when one has risen above its record."""
    parser = argparse.ArgumentParser(prog="python -m tests.tidy.ratchet", description="Counts that may only fall.")
    parser.add_argument("--write", action="store_true", help="record the numbers that fell, and new ones")
    parser.add_argument("--raise", action="store_true", dest="may_rise", help="record the numbers that rose, too")
    options = parser.parse_args(arguments)
    old, new = recorded(), measure()
    for name, count in new.items():
        print(f"{name:40} recorded {old.get(name, '-'):>5}  now {count:>5}")
    if options.write or options.may_rise:
        old = merge(old, new, may_rise=options.may_rise)
        RATCHET.write_text(json.dumps(old, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return int(any(count > old.get(name, 0) for name, count in new.items()))


if __name__ == "__main__":
    raise SystemExit(main())
