"""Inside a server under test: a thread that tells the process's gate what a supervisor would, as the test asks."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import threading
from collections import Counter
from pathlib import Path

from aeterna.handover.gate import gate as process_gate
from aeterna.handover.serving_options import ServingOptions

RELEASED: dict[str, threading.Event] = {}
"""What handlers of the test application wait for, by name."""


COUNTS: Counter[str] = Counter()
"""What the test application has done, by name."""


def options() -> ServingOptions:
    """Those of the process, with the limits the test asks for."""
    given = ServingOptions.from_environ()
    return dataclasses.replace(
        given,
        park_s=float(os.environ.get("TEST_PARK_S", given.park_s)),
        parked_max=int(os.environ.get("TEST_PARKED_MAX", given.parked_max)),
    )


def event(name: str) -> threading.Event:
    return RELEASED.setdefault(name, threading.Event())


def start() -> None:
    """Listen on the path in TEST_CONTROL."""
    path = os.environ.get("TEST_CONTROL")
    if path is None:
        return
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen()
    Path(f"{path}.new").rename(path)
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection, connection.makefile("rw") as stream:
        for line in stream:
            verb, *words = line.split()
            stream.write(f"{json.dumps(_carry_out(verb, words))}\n")
            stream.flush()


def _carry_out(verb: str, words: list[str]) -> object:
    gate = process_gate()
    match verb:
        case "pause":
            return gate.pause(int(words[0]))
        case "resume":
            gate.resume()
        case "standby":
            gate.standby()
        case "activate":
            gate.activate()
        case "drain":
            gate.start_drain(int(words[0]))
        case "inflight":
            return gate.inflight
        case "role":
            return gate.role.name
        case "release":
            event(words[0]).set()
        case "count":
            return COUNTS[words[0]]
        case "await":
            return event(words[0]).wait(10)
    return None
