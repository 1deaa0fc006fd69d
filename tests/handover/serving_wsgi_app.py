"""The WSGI application of the serving tests, with the middleware around it."""

from __future__ import annotations

import hashlib
import os

from aeterna import handover
from aeterna.handover.wsgi import HandoverMiddleware
from tests.handover import serving_control

PID = str(os.getpid()).encode()
COUNTER = handover.state("counter", default=lambda: {"value": 0})


def bare(environ, start_response):
    match environ["PATH_INFO"].split("/")[1:]:
        case ["count"]:
            COUNTER["value"] += 1
            body = str(COUNTER["value"]).encode()
        case ["upload"]:
            data = environ["wsgi.input"].read()
            body = f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode()
        case ["wait", name]:
            serving_control.event(name).wait()
            body = PID
        case ["stream", name]:
            start_response("200 OK", [("Content-Type", "application/octet-stream")])
            return _parts(name)
        case ["client"]:
            body = environ.get("HTTP_X_FORWARDED_FOR", environ["REMOTE_ADDR"]).encode()
        case _:
            body = PID
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _parts(name):
    yield b"first"
    serving_control.event(name).wait()
    yield b"last"


app = HandoverMiddleware(bare, options=serving_control.options())
serving_control.start()
