"""``--json``: standard output holds one document and nothing else, also when something is wrong."""

from __future__ import annotations

import json
import signal

import pytest

from tests.cli.conftest import finish, give, start

CHATTY = """
import os
import sys
import threading

from aeterna import App, Context

print("imported")
stream = sys.stdout
app = App("chatty")


@app.step
def talk() -> None:
    os.system("echo from a child")
    print("printed")
    stream.write("written\\n")
    stream.flush()


@app.step(timeout=0.01)
def late() -> None:
    while not os.path.exists('go'):
        threading.Event().wait(0.02)
    print("too late", flush=True)


@app.workflow
async def chat(ctx: Context) -> str:
    await talk()
    return "done"


@app.workflow
async def leaves_a_thread(ctx: Context) -> str:
    try:
        await late()
    except BaseException:
        pass
    return "done"


@app.workflow
async def waits(ctx: Context) -> None:
    await talk()
    await ctx.sleep(hours=1)
"""


@pytest.fixture
def chatty(place):
    (place / "chatty.py").write_text(CHATTY)
    return place


def test_what_user_code_prints_goes_to_standard_error(chatty):
    answer = give("run", "chatty:chat", "--json")
    assert (answer.code, answer.json["result"]) == (0, "done")
    assert set(answer.err.split("\n")) == {"imported", "printed", "written", "from a child", ""}


def test_without_json_user_code_prints_where_it_always_does(chatty):
    answer = give("run", "chatty:chat")
    assert "printed" in answer.out
    assert answer.err == ""


def test_a_thread_that_nobody_waits_for_prints_beside_the_document_too(chatty):
    """The step has timed out, the run has ended, the document is printed, and then the step's thread prints."""
    process = start("run", "chatty:leaves_a_thread", "--json")
    document = ""
    while not document.endswith("\n}\n"):
        document += process.stdout.readline()
    (chatty / "go").touch()
    rest = finish(process)
    assert (rest.code, json.loads(document)["result"]) == (0, "done")
    assert (rest.out, "too late" in rest.err) == ("", True)


def test_ctrl_c_leaves_one_document(chatty):
    process = start("run", "chatty:waits", "--json", "--id", "w")
    while process.stderr.readline() != "written\n":
        pass
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    assert stopped.code == 130
    assert stopped.json["id"] == "w"
    assert stopped.json["error"]["type"] == "KeyboardInterrupt"
    assert "goes on with" in stopped.json["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "message"),
    [
        (("status", "x", "--store", "no.db"), 3, "StoreError", "there is no store at no.db"),
        (("status", "x", "--sotre", "no.db"), 2, "UsageError", "unrecognized arguments: --sotre no.db"),
        (("workflow", "list", "--limit", "x"), 2, "UsageError", "argument --limit: 'x' is no whole number"),
        (("run", "nowhere:wf"), 4, "UnknownWorkflowError", "there is no module 'nowhere'"),
        (("demo", "--question", " "), 2, "UsageError", "ask something"),
        (("demo", "--dir", "/proc/x"), 2, "ConfigurationError", "--dir /proc/x: cannot be used"),
        (("xyz",), 2, "UsageError", "no command 'xyz'"),
    ],
)
def test_an_error_is_a_document_too(cli, place, arguments, code, kind, message):
    """And the text for people is on standard error as ever; types are those of the reference of errors."""
    answer = cli(*arguments, "--json")
    assert answer.code == code
    error = json.loads(answer.out)["error"]
    assert (error["type"], message in error["message"]) == (kind, True)
    assert message in answer.err
