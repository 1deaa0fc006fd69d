"""Loading msgspec in a hurry, for commands that decode events and run nobody's code."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def load_msgspec_quickly() -> None:
    """Import msgspec without typing_extensions, which it takes where there is one, for type hints that no event has.

    It is a fifth of what this command may take.
    """
    if "msgspec" in sys.modules or "typing_extensions" in sys.modules:
        return
    # None is how Python says that a module cannot be imported.
    missing: Any = None
    sys.modules["typing_extensions"] = missing
    try:
        importlib.import_module("msgspec")
    finally:
        del sys.modules["typing_extensions"]
