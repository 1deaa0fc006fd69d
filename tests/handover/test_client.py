"""A process and its supervisor, who is played by the test: roles, hooks, the lease, and messages nobody expects."""

from __future__ import annotations

import threading

import pytest

from aeterna.handover.client import Client
from aeterna.handover.frames import Flags, Kind
from aeterna.handover.gate import Gate, ServingRole
from tests.handover.srp_supervisor import talk, wait_until


def test_a_process_without_a_supervisor_talks_to_nobody_and_may_do_everything() -> None:
    client = Client({}, Gate())
    client.start()
    assert (client.is_managed, client.generation, client.has_lease) == (False, 0, True)
    assert client._thread is None


def test_the_older_name_of_the_socket_will_do_and_the_token_is_needed() -> None:
    assert Client({"LIVERELAY_STATE_SOCK": "/x", "AETERNA_INSTANCE": "t"}, Gate()).is_managed
    assert not Client({"AETERNA_STATE_SOCK": "/x"}, Gate()).is_managed


@pytest.mark.parametrize(("role", "gate", "lease"), [("active", "active", True), ("candidate", "paused", False)])
def test_a_process_says_who_it_is_and_how_it_stands(role: str, gate: str, lease: bool) -> None:
    with talk(role) as now:
        now.value("sessions", {}, version=2, versions=frozenset({1, 2}))
        hello = now.supervisor.accept()
        assert hello["parts"] == [{"part": "sessions", "codec": "json", "version": 2, "takes": [1, 2]}]
        assert (hello["generation"], hello["token"], hello["service"]) == (3, "token", "web")
        assert (hello["role"], hello["gate"], hello["lease"], hello["fds"]) == (role, gate, lease, True)
        assert now.client.has_lease is lease


def test_what_is_declared_later_is_said_later() -> None:
    with talk() as now:
        now.client.start()
        assert now.supervisor.accept()["parts"] == []
        now.value("a", {})
        assert [each["part"] for each in now.supervisor.expect(Kind.HELLO)["parts"]] == ["a"]
        now.value("b", [])
        assert [each["part"] for each in now.supervisor.expect(Kind.HELLO)["parts"]] == ["a", "b"]


def test_the_last_hello_names_every_part_whoever_declares_when() -> None:
    with talk() as now:
        threads = [threading.Thread(target=now.value, args=(f"part{number}", {})) for number in range(16)]
        for thread in threads:
            thread.start()
        seen = {each["part"] for each in now.supervisor.accept()["parts"]}
        while len(seen) < 16:
            seen = {each["part"] for each in now.supervisor.expect(Kind.HELLO)["parts"]}
        for thread in threads:
            thread.join()


def test_roles_are_taken_and_confirmed() -> None:
    with talk("candidate") as now:
        now.client.start()
        now.supervisor.accept()
        assert now.gate.role is ServingRole.PAUSED
        now.supervisor.ask(Kind.ACCEPT, Kind.ACCEPTING)
        assert now.gate.role is ServingRole.ACTIVE
        assert now.supervisor.ask(Kind.STANDBY, Kind.ACK)["of"] == Kind.STANDBY
        assert now.gate.role is ServingRole.STANDBY
        now.supervisor.ask(Kind.RESUME, Kind.RESUMED)
        assert now.gate.role is ServingRole.ACTIVE
        now.gate.enter()
        assert now.supervisor.ask(Kind.DRAIN, Kind.DRAINED, {"lame_duck_ms": 70})["inflight"] == 1
        assert (now.gate.draining, now.gate.lame_duck_ms) == (True, 70)
        now.supervisor.ask(Kind.RELEASE, Kind.ACK)
        assert now.supervisor.ask(Kind.PING, Kind.PONG)["inflight"] == 1


def test_the_lease_comes_and_goes_with_its_hooks() -> None:
    with talk("candidate") as now:
        heard: list[str] = []
        now.client.hooks.acquired.append(lambda: heard.append("acquired"))
        now.client.hooks.revoked.append(lambda: heard.append("revoked"))
        now.client.start()
        now.supervisor.accept()
        assert now.supervisor.ask(Kind.LEASE, Kind.ACK, {"granted": True, "epoch": 3})["of"] == Kind.LEASE
        assert now.client.has_lease
        now.supervisor.ask(Kind.LEASE, Kind.ACK, {"granted": True})
        wait_until(lambda: heard == ["acquired"])
        now.supervisor.ask(Kind.LEASE, Kind.ACK, {"granted": False})
        # Who has lost the lease has stopped what needs it before it says so.
        assert heard == ["acquired", "revoked"]
        assert not now.client.has_lease
        now.supervisor.ask(Kind.LEASE, Kind.ACK, {"granted": False})
        assert heard == ["acquired", "revoked"]


def test_requests_are_held_back_at_once_and_rest_is_confirmed_when_the_last_has_ended() -> None:
    with talk() as now:
        heard: list[str] = []
        now.client.hooks.quiesce.append(lambda: heard.append(now.gate.role))
        now.client.start()
        now.supervisor.accept()
        now.gate.enter()
        now.supervisor.say(Kind.QUIESCE, {"deadline_ms": 20_000})
        wait_until(lambda: heard == ["paused"])
        now.gate.leave()
        assert now.supervisor.expect(Kind.QUIESCED)["inflight"] == 0


def test_a_request_that_does_not_end_makes_the_process_busy() -> None:
    with talk() as now:
        now.client.start()
        now.supervisor.accept()
        now.gate.enter()
        busy = now.supervisor.ask(Kind.QUIESCE, Kind.BUSY, {"deadline_ms": 5})
        assert (busy["inflight"], busy["retry_ms"]) == (1, 100)
        assert now.gate.role is ServingRole.PAUSED


def test_a_quiesce_hook_that_raises_is_told_in_its_words() -> None:
    with talk() as now:
        now.client.hooks.quiesce.append(lambda: {}["queue"])
        now.client.start()
        now.supervisor.accept()
        nack = now.supervisor.ask(Kind.QUIESCE, Kind.NACK)
        assert (nack["code"], nack["text"]) == ("quiesce", "KeyError: 'queue'")


def test_a_resumption_is_obeyed_at_once_while_a_hook_hangs_and_a_request_goes_on() -> None:
    """Otherwise the supervisor would take the old generation for dead, and end it with its memory."""
    with talk() as now:
        goes_on, heard = threading.Event(), list[str]()
        now.client.hooks.quiesce.append(lambda: heard.append("quiesce") or goes_on.wait(20))
        now.client.hooks.resume.append(lambda: heard.append("resume"))
        now.client.start()
        now.supervisor.accept()
        now.gate.enter()
        now.supervisor.say(Kind.QUIESCE, {"deadline_ms": 20_000})
        wait_until(lambda: heard)
        now.supervisor.ask(Kind.RESUME, Kind.RESUMED)
        assert now.gate.role is ServingRole.ACTIVE
        goes_on.set()
        wait_until(lambda: heard == ["quiesce", "resume"])
        assert now.gate.role is ServingRole.ACTIVE
        # Nobody says afterwards that it has come to rest.
        now.supervisor.ask(Kind.PING, Kind.PONG)


def test_a_process_can_be_quiesced_again_after_it_was_resumed() -> None:
    with talk() as now:
        now.client.start()
        now.supervisor.accept()
        for txn in (1, 1, 2):
            now.supervisor.ask(Kind.QUIESCE, Kind.QUIESCED, txn=txn)
            now.supervisor.ask(Kind.RESUME, Kind.RESUMED, txn=txn)


def test_hooks_that_raise_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    with talk("candidate") as now:
        for hooks in (
            now.client.hooks.acquired,
            now.client.hooks.revoked,
            now.client.hooks.resume,
            now.client.hooks.drain,
        ):
            hooks.append(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        now.client.start()
        now.supervisor.accept()
        now.supervisor.ask(Kind.LEASE, Kind.ACK, {"granted": True})
        now.supervisor.ask(Kind.DRAIN, Kind.DRAINED)
        now.supervisor.ask(Kind.RESUME, Kind.RESUMED)
        now.supervisor.ask(Kind.LEASE, Kind.ACK, {"granted": False})
        now.supervisor.ask(Kind.PING, Kind.PONG)
        # Others may have something to say, too, where an earlier test made the logs talkative.
        wait_until(lambda: [getattr(record, "action", "") for record in caplog.records].count("handover.hook") == 4)


def test_messages_of_an_earlier_handover_are_ignored() -> None:
    with talk() as now:
        now.client.start()
        now.supervisor.accept()
        now.supervisor.ask(Kind.RESUME, Kind.RESUMED, txn=7)
        now.supervisor.say(Kind.STANDBY, txn=6)
        assert now.supervisor.ask(Kind.PING, Kind.PONG, txn=7)["gate"] == "active"
        assert now.client._relayed.late_count == 1


def test_a_message_of_an_unknown_type_is_refused_unless_it_is_optional() -> None:
    with talk() as now:
        now.client.start()
        now.supervisor.accept()
        channel = now.supervisor.channel
        assert channel is not None
        channel._send(b"\x00\x00\x00\x08\xae\x7e\x20\x24\x01\x99\x00\x01", -1)
        channel._send(b"\x00\x00\x00\x08\xae\x7e\x20\x24\x01\x98\x00\x00", -1)
        nack = now.supervisor.expect(Kind.NACK)
        assert (nack["code"], nack["text"]) == ("unknown", "frame type 0x98 is not known")
        assert Flags(1) is Flags.OPTIONAL


def test_a_process_knows_when_the_supervisor_knows_what_it_has() -> None:
    with talk() as now:
        now.value("a", {})
        assert not now.client.wait_heard(0.01)
        now.supervisor.accept()
        now.supervisor.say(Kind.ACK, {"of": int(Kind.HELLO), "parts": len(now.supervisor.hello["parts"])})
        assert now.client.wait_heard(20)
        now.value("b", {})
        assert not now.client.wait_heard(0.01)
        now.supervisor.expect(Kind.HELLO)
        now.supervisor.say(Kind.ACK, {"of": int(Kind.HELLO), "parts": 2})
        assert now.client.wait_heard(20)
        now.supervisor.hang_up()
        now.supervisor.accept()
        assert not now.client.wait_heard(0.01)
    assert Client({}, Gate()).wait_heard(0)
