"""Commands against a running server: a real one, with a worker, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from aeterna import App
from aeterna.cli import exit_codes, runs
from aeterna.cli.server_choice import Address, chosen_server
from aeterna.durable.stores import contract
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.kernel.errors import ConfigurationError
from aeterna.server.options import ServeOptions
from aeterna.server.serving import Addresses, serving

TOKEN = "an-admin-token-that-nobody-could-guess"


class Running:
    """A server and a worker, until it is closed."""

    def __init__(self) -> None:
        self.addresses = Addresses()
        self._is_up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._is_up.wait(30)

    async def _serve(self) -> None:
        options = ServeOptions(grpc_port=0, http_port=0, admin_token=TOKEN)
        async with serving(MemoryNamespaces(), options) as self.addresses, worker(self.addresses.grpc):
            self._is_up.set()
            await self._end.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()


def worker(server: str) -> App:
    app = App("orders", server=server, token=TOKEN)

    @app.step
    async def double(number: int) -> int:
        return 2 * number

    @app.workflow
    async def doubled(ctx, number: int) -> int:
        return await double(number)

    @app.workflow
    async def asked(ctx, greeting: str) -> str:
        name = await ctx.wait_signal("name")
        return f"{greeting} {name}"

    return app


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    server = Running()
    yield server
    server.close()


@pytest.fixture
def at_server(running, cli, place, monkeypatch):
    """Give a command about the server, which the environment names."""
    monkeypatch.setenv("AETERNA_SERVER", f"http://{running.addresses.http}")
    monkeypatch.setenv("AETERNA_TOKEN", TOKEN)
    return cli


def until(at_server, run_id: str, state: str) -> dict:
    """The run's record once it is in the state, or has the detail."""
    while True:
        found = at_server("workflow", "status", run_id, "--json").json
        if state in (found["state"], found["detail"]):
            return found


def test_names_at_a_server_are_completed(at_server, cli, monkeypatch):
    at_server("workflow", "start", "doubled", "21", "--id", "typed-1", "--app", "orders")
    at_server("queue", "put", "mails", "--concurrency", "2", "--app", "orders")
    at_server("schedule", "put", "nightly", "doubled", "--cron", "0 2 * * *", "--app", "orders")
    for words, expected in (
        (("workflow", "signal", "--app", "orders", "typ"), "typed-1"),
        (("queue", "pause", "--app", "orders", ""), "mails"),
        (("schedule", "trigger", "--app", "orders", "nigh"), "nightly"),
    ):
        assert cli("__complete", *words).out.split() == [expected]
    assert at_server("queue", "delete", "mails", "--app", "orders").code == 0
    assert at_server("schedule", "delete", "nightly", "--app", "orders").code == 0
    monkeypatch.setenv("AETERNA_SERVER", "http://127.0.0.1:9")
    silent = cli("__complete", "workflow", "signal", "typ")
    assert (silent.code, silent.out, silent.err) == (0, "", "")


def test_a_run_is_started_and_looked_at(at_server):
    assert at_server("workflow", "start", "doubled", "21", "--id", "d1", "--app", "orders").out == "d1\n"
    done = until(at_server, "d1", "COMPLETED")
    assert (done["result"], done["app"], done["workflow"]) == (42, "orders", "doubled")
    assert "42" in at_server("status", "d1").out
    listed = at_server("workflow", "list", "--type", "doubled", "--json").json["runs"]
    assert "d1" in [run["id"] for run in listed]
    history = at_server("workflow", "history", "d1")
    assert "doubled(21)" in history.out
    assert "StepCompleted" in history.out
    events = at_server("workflow", "history", "d1", "--json").json["events"]
    assert [event["number"] for event in events] == list(range(len(events)))
    forked = at_server("workflow", "fork", "d1", "--step", "double", "--id", "d2")
    assert forked.out == "forked run 'd1' as d2\n"
    assert until(at_server, "d2", "COMPLETED")["result"] == 42
    again = at_server("workflow", "start", "doubled", "21", "--id", "d1")
    assert (again.out, "exists already" in again.err) == ("d1\n", True)


def test_a_run_is_talked_to(at_server):
    at_server("workflow", "start", "asked", "Hello", "--id", "a1")
    until(at_server, "a1", "waiting_signal")
    assert "signal" in at_server("workflow", "why", "a1").out
    assert at_server("workflow", "pause", "a1", "--reason", "lunch").code == 0
    until(at_server, "a1", "paused")
    assert at_server("workflow", "resume", "a1").code == 0
    assert at_server("workflow", "signal", "a1", "name", "Ann", "--message-id", "m1").code == 0
    assert until(at_server, "a1", "COMPLETED")["result"] == "Hello Ann"
    gone = at_server("workflow", "signal", "a1", "name", "Bob")
    assert (gone.code, "COMPLETED already" in gone.err) == (exit_codes.FAILED, True)
    forked = at_server("workflow", "fork", "a1", "1", "--id", "a2")
    assert "a2" in forked.out
    for wrong in ((), ("1", "--step", "x"), ("--step", "x")):
        refused = at_server("workflow", "fork", "a1", *wrong)
        assert refused.code == exit_codes.USAGE, refused.err
    assert at_server("workflow", "terminate", "a2", "--json").json["run"]["state"] == "CANCELLED"
    assert at_server("workflow", "delete", "a1", "a2").out == "deleted 2 runs\n"
    missing = at_server("workflow", "status", "a1", "--json")
    assert (missing.code, missing.json["error"]["type"]) == (exit_codes.NOT_FOUND, "RunNotFoundError")


def test_a_run_is_cancelled(at_server):
    at_server("workflow", "start", "asked", "Hello", "--id", "c1")
    until(at_server, "c1", "waiting_signal")
    assert "asked run 'c1' to cancel" in at_server("cancel", "c1", "--reason", "no more").out
    assert until(at_server, "c1", "CANCELLED")["reason"] == "no more"


def test_workers_and_queues_are_listed(at_server):
    [found] = at_server("worker", "list", "--json").json["workers"]
    assert str(found["pid"]) in at_server("worker", "list").out
    assert at_server("queue", "put", "mail", "--concurrency", "2").code == 0
    assert [queue["name"] for queue in at_server("queue", "list", "--json").json["queues"]] == ["mail"]


def test_tokens_are_given_out_and_taken_back(at_server):
    assert at_server("token", "create", "--role", "admin").code == 0
    made = at_server("token", "create", "--role", "client", "--for", "orders", "--note", "shop", "--json").json
    refused = at_server("token", "list", "--token", made["token"])
    assert refused.code == exit_codes.REFUSED
    assert made["token"] not in at_server("token", "list").out
    assert "shop" in at_server("token", "list").out
    assert made["id"] in at_server("token", "revoke", made["id"]).out
    assert at_server("workflow", "list", "--token", made["token"]).code == exit_codes.REFUSED


def test_what_does_not_answer_is_named(cli, place, monkeypatch):
    monkeypatch.delenv("AETERNA_SERVER", raising=False)
    away = cli("workflow", "list", "--server", "127.0.0.1:1", "--json")
    assert (away.code, away.json["error"]["type"]) == (exit_codes.UNAVAILABLE, "UnavailableError")
    assert "http://127.0.0.1:2 (connection refused)" in away.err
    assert "needs a running server" in cli("workflow", "pause", "x").err
    both = cli("workflow", "list", "--server", "a", "--store", "s.db")
    assert (both.code, "contradict" in both.err) == (exit_codes.USAGE, True)


def test_never_is_the_same_word_here_and_in_the_store():
    assert runs.NEVER_US == contract.NEVER_US


class Given:
    """Parsed arguments."""

    token = tls_ca = app = None

    def __init__(self, server: str) -> None:
        self.server = server


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("host", [Address("host", 7234, False)]),
        ("host:9000", [Address("host", 9001, False)]),
        ("a:1,b:2", [Address("a", 2, False), Address("b", 3, False)]),
        ("[::1]:5", [Address("::1", 6, False)]),
        ("http://host:80/", [Address("host", 80, False)]),
        ("https://host", [Address("host", 7234, True)]),
    ],
)
def test_an_address_names_the_http_api(text, addresses, monkeypatch):
    for variable in ("AETERNA_TLS_CA", "AETERNA_TLS_CERT"):
        monkeypatch.delenv(variable, raising=False)
    assert list(chosen_server(Given(text)).addresses) == addresses


@pytest.mark.parametrize("text", ["ftp://host", "host:port", "host:70000", ":7", "http://u@host"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigurationError, match="is no address"):
        chosen_server(Given(text))
