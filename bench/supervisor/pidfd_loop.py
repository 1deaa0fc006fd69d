"""The smallest supervisor: start programs, wait on their pidfds, start each anew the moment it ends.

It holds nothing, watches nothing and forgives nothing; it is the floor that restart times are compared with.
"""

from __future__ import annotations

import json
import os
import selectors
import sys


def main(commands: list[list[str]]) -> None:
    """Run the commands until killed."""
    selector = selectors.DefaultSelector()

    def start(argv: list[str]) -> None:
        pid = os.posix_spawn(argv[0], argv, os.environ)
        selector.register(os.pidfd_open(pid), selectors.EVENT_READ, argv)

    for argv in commands:
        start(argv)
    while True:
        for key, _ in selector.select():
            descriptor = key.fd
            start(key.data)
            os.waitid(os.P_PIDFD, descriptor, os.WEXITED)
            selector.unregister(descriptor)
            os.close(descriptor)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
