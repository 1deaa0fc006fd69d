"""A process that replays histories from files and prints the decisions: ``python -m tests.concurrency.replay_files
DIR COUNT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aeterna.durable.core.segment import decode_segment
from tests.concurrency.trees import replay

if __name__ == "__main__":
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    # Other objects at other addresses than in the process that recorded.
    ballast = [object() for _ in range(12_345)]
    print(json.dumps([replay(decode_segment((folder / f"{n}.history").read_bytes())) for n in range(count)]))
