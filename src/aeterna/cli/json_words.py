"""Values, from the words of a command line."""

from __future__ import annotations

import json
from typing import Any


def value_of_text(text: str) -> Any:
    """JSON where it parses as JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
