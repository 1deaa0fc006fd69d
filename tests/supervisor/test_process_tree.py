"""Membership and signals on real process trees: deep ones, those that left the session, those that forked twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aeterna.supervisor.host.process_tree import ProcessTree, descendants, is_alive, is_descendant, stat
from tests.supervisor.keeper_den import until

# Grows a tree: a child, a grandchild in another session, a daemon that forked twice, and one that forked twice and
# lost its environment. Every one says its pid, then all sleep.
GROW = """
import os, sys, time
def sleep(name):
    os.write(1, b"%s %d\\n" % (name, os.getpid()))
    time.sleep(1000)
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        sleep(b"grandchild")
    sleep(b"child")
for name, environ in ((b"daemon", os.environ), (b"stranger", {})):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if name == b"stranger":
                os.execve(sys.executable, [sys.executable, "-I", "-S", "-c",
                    "import os,time; os.write(1, b'stranger %d\\\\n' % os.getpid()); time.sleep(1000)"], {})
            sleep(name)
        os._exit(0)
    os.wait()
sleep(b"root")
"""


class Grown:
    """A tree with its pids by name."""

    def __init__(self, token: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GROW],
            env={"AETERNA_INSTANCE": token},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline().split() for _ in range(5)]
        self.pids = {name.decode(): int(pid) for name, pid in lines}
        found = stat(self.process.pid)
        assert found is not None
        # Orphans go to whoever reaps them on this machine: as if process 1 were the keeper.
        self.tree = ProcessTree(token, self.process.pid, found.start_time_ticks, keeper_pid=1)

    def close(self) -> None:
        for pid in self.pids.values():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def grown() -> Iterator[Grown]:
    grown = Grown(f"token-{os.getpid()}")
    yield grown
    grown.close()


def test_members_are_descendants_session_and_bearers_of_the_token(grown: Grown) -> None:
    expected = {pid for name, pid in grown.pids.items() if name != "stranger"}
    assert set(grown.tree.members()) == expected
    for name, pid in grown.pids.items():
        assert grown.tree.contains(pid) is (name != "stranger"), name
    assert not grown.tree.contains(os.getpid())
    assert not grown.tree.contains(2**22 + 1)


def test_members_are_found_when_the_root_has_gone(grown: Grown) -> None:
    grown.process.kill()
    grown.process.wait()
    assert set(grown.tree.members()) == {grown.pids[name] for name in ("child", "grandchild", "daemon")}
    assert grown.tree.contains(grown.pids["grandchild"])


def test_a_later_process_of_the_same_pid_is_not_the_root() -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        try:
            earlier = ProcessTree("another token", process.pid, 1, keeper_pid=1)
            assert earlier.members() == []
            assert not earlier.contains(process.pid)
            assert earlier.kill(signal.SIGKILL) == 0
            assert is_alive(process.pid)
        finally:
            process.kill()


async def test_killing_ends_every_member_and_nobody_else(grown: Grown) -> None:
    assert grown.tree.kill(signal.SIGKILL) == 4
    await until(lambda: not grown.tree.members(), "all are dead")
    assert is_alive(grown.pids["stranger"])
    assert grown.tree.kill(signal.SIGKILL) == 0


def test_a_signal_that_is_ignored_is_sent_once(grown: Grown) -> None:
    assert grown.tree.kill(0) == 4
    assert len(grown.tree.members()) == 4


async def test_a_tree_that_forks_all_the_time_is_killed_to_the_last() -> None:
    tree = start_ever_forking()

    def is_dead() -> bool:
        tree.kill(signal.SIGKILL)
        return not tree.members()

    await until(is_dead, "the last is dead")


def start_ever_forking() -> ProcessTree:
    """A process that lives for 20 ms, in a child of itself, for ever; its first process has ended."""
    fork = "import os, time\nfor _ in range(300):\n    if os.fork():\n        time.sleep(0.02)\n        os._exit(0)"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", fork], env={"AETERNA_INSTANCE": "ever-forking"}, start_new_session=True
    )
    found = stat(process.pid)
    assert found is not None
    tree = ProcessTree("ever-forking", process.pid, found.start_time_ticks, keeper_pid=1)
    process.wait()
    return tree


def test_descent_is_followed_to_any_depth_and_survives_odd_names(grown: Grown) -> None:
    assert is_descendant(grown.pids["grandchild"], os.getpid())
    assert is_descendant(os.getpid(), os.getpid())
    assert not is_descendant(os.getpid(), grown.pids["child"])
    assert not is_descendant(0, 1)
    assert grown.pids["grandchild"] in descendants(os.getpid())
    rename = "open('/proc/self/comm', 'w').write(') S 1 (2'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", rename], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = stat(process.pid)
        assert found is not None
        assert found.parent_pid == os.getpid()
        process.communicate(b"\n")
    assert stat(process.pid) is None
    assert not is_alive(process.pid)
