"""Asking the process that owns a store: no answer, half an answer, an error, and a path too long for a socket."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from aeterna.durable.operations.owner import ask_owner, socket_path
from aeterna.kernel.errors import RunNotFoundError, StoreError, UsageError
from tests.cli.conftest import finish, give, start


@contextmanager
def owner_that_says(store, answer):
    """Something that listens, reads one line, answers with these bytes, and goes away."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(socket_path(store)))
        listener.listen()

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.makefile("rb").readline()
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def short():
    """A directory whose name leaves room for a socket's: pytest's own are long."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_nobody_listens(short):
    """Also where a dead process has left its socket, and where there is no directory."""
    assert ask_owner(short / "s.db", {"op": "ping"}) is None
    assert ask_owner(short / "no" / "s.db", {"op": "ping"}) is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(socket_path(short / "s.db")))
    assert ask_owner(short / "s.db", {"op": "ping"}) is None


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"", StoreError, "ended before it answered"),
        (json.dumps({"error": "RunNotFoundError", "message": "no x"}).encode() + b"\n", RunNotFoundError, "no x"),
        (json.dumps({"error": "NoSuchError", "message": "odd"}).encode() + b"\n", UsageError, "odd"),
    ],
)
def test_what_the_owner_could_not_do_is_raised_here(short, answer, error, message):
    with owner_that_says(short / "s.db", answer), pytest.raises(error, match=message):
        ask_owner(short / "s.db", {"op": "ping"})


def test_a_place_that_is_no_socket_is_said(short):
    """Root may read anything, so the socket's place is taken by something that cannot be one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(socket_path(short / "s.db")))
        with pytest.raises(StoreError, match="does not answer on"):
            ask_owner(short / "s.db", {"op": "ping"})


def test_a_store_in_a_very_deep_directory_can_be_asked_too(place, short, monkeypatch):
    """The address of a Unix socket holds about a hundred bytes; such stores meet in a private directory."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    deep = place / ("d" * 90)
    deep.mkdir()
    assert socket_path(deep / "s.db").parent == short / f"aeterna-{os.getuid()}"
    program = start("run", "jobs:waits", place / "out", "--id", "w", "--store", deep / "s.db")
    assert program.stdout.readline() == "waiting\n"
    answer = give("cancel", "w", "--store", deep / "s.db")
    finish(program)
    assert (answer.code, "was told" in answer.out) == (0, True)
