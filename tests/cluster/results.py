"""Where measurements of the long scenarios go: the JSON file that ``AETERNA_CHAOS_RESULTS`` names."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

IS_CHAOS = os.environ.get("AETERNA_CHAOS") == "1"


def record(name: str, **values: Any) -> None:
    """Add an entry, beside those of other test processes."""
    target = os.environ.get("AETERNA_CHAOS_RESULTS")
    if not target:
        return
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        found = json.loads(text) if text.strip() else {}
        found[name] = values
        file.seek(0)
        file.truncate()
        json.dump(found, file, indent=2, sort_keys=True)
