"""``python -m aeterna`` is the command ``aeterna``."""

from __future__ import annotations

import sys

from aeterna.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
