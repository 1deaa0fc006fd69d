"""Unix sockets: never a path without a listener, never somebody else's path removed."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from aeterna.config.spec import SocketSpec
from aeterna.supervisor.host.listener_watch import inspect, revive
from aeterna.supervisor.host.listeners import BindError, Colour, adopt_listener, open_listener
from aeterna.supervisor.host.steering import Steering, SteeringOutcome
from tests.supervisor.sockets import opened


@pytest.fixture
def path():
    directory = tempfile.mkdtemp(dir="/tmp")
    yield Path(directory) / "app.sock"
    shutil.rmtree(directory)


def spec(path: Path, **more: Any) -> SocketSpec:
    return SocketSpec(name="app", family="unix", path=str(path), **more)


def names_beside(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir()]


def reach(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_it_listens_with_the_wanted_permissions_and_leaves_no_other_file(path):
    with opened(spec(path, permissions=0o640)) as listener:
        reach(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert names_beside(path) == ["app.sock"]
        assert listener.address == str(path)
        assert listener.port is None
        assert set(listener.fds()) == {"listener:app:blue"}
    assert not path.exists()


def test_a_stale_path_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with opened(spec(path)):
        reach(path)


def test_a_path_that_is_served_is_refused_with_its_owner(path):
    with opened(spec(path)):
        with pytest.raises(BindError, match=rf"in use by pid {os.getpid()} \("):
            open_listener(spec(path))
        reach(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("file", "no socket"), ("missing/app.sock", "create the directory"), ("x" * 120, "shorter")],
)
def test_an_impossible_path_is_refused_and_nothing_is_touched(path, name, words):
    (path.parent / "file").write_text("precious")
    with pytest.raises(BindError, match=words):
        open_listener(spec(path.parent / name))
    assert names_beside(path) == ["file"]
    assert (path.parent / "file").read_text() == "precious"


def test_a_path_that_somebody_replaced_is_left_alone_and_noticed(path):
    listener = open_listener(spec(path))
    assert inspect(listener).is_sound
    path.unlink()
    assert inspect(listener).path_is_lost
    path.write_text("theirs")
    assert inspect(listener).path_is_lost
    listener.close(unlink=True)
    assert path.read_text() == "theirs"


def test_an_adopted_listener_still_knows_its_own_path(path):
    first = open_listener(spec(path))
    second = adopt_listener(first.spec, {key: os.dup(fd) for key, fd in first.fds().items()})
    first.close(unlink=False)
    assert inspect(second).is_sound
    reach(path)
    second.close(unlink=True)
    assert not path.exists()


def test_an_adopted_listener_is_not_fooled_by_a_new_file(path):
    first = open_listener(spec(path))
    path.unlink()
    with opened(spec(path)):
        second = adopt_listener(first.spec, {key: os.dup(fd) for key, fd in first.fds().items()})
        first.close(unlink=False)
        assert inspect(second).path_is_lost
        second.close(unlink=True)
        reach(path)


async def test_steering_a_shared_socket_does_nothing_and_says_so(path):
    with opened(spec(path)) as listener:
        steering = Steering(listener)
        assert not steering.is_steerable
        steering.set(50, Colour.GREEN)
        assert (await steering.verify()).outcome is SteeringOutcome.NOT_STEERABLE
        assert (await steering.restore()).outcome is SteeringOutcome.NOT_STEERABLE
        assert listener.socket_of(Colour.GREEN) is listener.socket_of(Colour.BLUE)
        reach(path)


def test_a_shutdown_is_noticed_and_cannot_be_undone(path):
    with opened(spec(path)) as listener:
        listener.colours[0].shutdown(socket.SHUT_RDWR)
        assert inspect(listener).closed == (Colour.BLUE,)
        with pytest.raises(OSError, match="cannot open it again"):
            revive(listener, Colour.BLUE)
