"""The program around the commands: help, wrong names, exit codes, what is loaded, completion."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

import aeterna
from aeterna.cli import exit_codes, registry
from aeterna.cli.commands.completion import SCRIPTS
from aeterna.kernel import errors
from tests.cli.conftest import give, leave_pending

LEAVES = [
    [group.name, command.name] if command is not group else [group.name]
    for group in registry.COMMANDS
    for command in (group.commands or (group,))
]

WITHOUT_RESULT = (["help"], ["completion"], ["config", "schema"], ["run-asgi"], ["serve"])
"""Commands whose output is a text for people, or one document anyway, or that serve until they are stopped."""


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_the_help_names_every_command(cli, arguments):
    answer = cli(*arguments)
    assert answer.code == 0
    for command in registry.COMMANDS:
        assert f"\n  {command.name} " in answer.out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_help(cli, path):
    """Every option is explained, and what takes an argument shows an example."""
    answer = cli(*path, "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"usage: aeterna {' '.join(path)} ")
    assert cli("help", *path).out == answer.out
    assert "--json" in answer.out or path in WITHOUT_RESULT


def test_a_group_alone_shows_its_commands(cli):
    assert cli("workflow").out == cli("workflow", "--help").out == cli("help", "workflow").out
    assert "history" in cli("workflow").out


def test_the_version_is_printed(cli):
    assert cli("version").out == cli("--version").out
    assert cli("version", "--json").json["aeterna"] == aeterna.__version__


def test_the_exit_codes_are_documented(cli):
    text = cli("help", "exit-codes").out
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"{code:>3}  {meaning}" in text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RunNotFoundError(), 4),
        (errors.UnknownWorkflowError(), 4),
        (errors.InvalidStateError(), 1),
        (errors.ConfigurationError(), 2),
        (errors.StoreLockedError(), 3),
        (errors.WorkflowCancelledError(), 1),
        (errors.InvariantError(), 1),
    ],
)
def test_every_error_has_an_exit_code(error, code):
    assert exit_codes.code_of(error) == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("statsu",), "aeterna: no command 'statsu'; did you mean 'status' or 'start'?"),
        (("workflow", "histroy"), "aeterna workflow: no command 'histroy'; did you mean 'history'?"),
        (("xyzzy",), "aeterna: no command 'xyzzy'\ncommands: demo, init, run,"),
        (("--colour",), "aeterna: no option '--colour'"),
        (("workflow", "--jsn"), "aeterna workflow: no option '--jsn'"),
        (("workflow", "status"), "aeterna: the following arguments are required: ID"),
        (("status", "x", "--sotre", "y"), "aeterna: unrecognized arguments: --sotre y"),
        (("workflow", "list", "--state", "DONE"), "invalid choice: 'DONE'"),
        (("workflow", "list", "--limit", "0"), "0: give 1 or more"),
        (("completion", "tcsh"), "invalid choice: 'tcsh'"),
    ],
)
def test_a_wrong_command_line_says_what_would_be_right(cli, arguments, message):
    answer = cli(*arguments)
    assert message in answer.err
    assert (answer.code, answer.out) == (2, "")
    assert "--help" in answer.err


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (("--help",), {"argparse", "asyncio", "msgspec", "rich", "apsw", "typing_extensions", "dataclasses"}),
        (("workflow", "list"), {"asyncio", "msgspec", "rich", "importlib.resources", "dataclasses"}),
        (("status", "p"), {"asyncio", "msgspec", "rich", "importlib.resources", "dataclasses"}),
        (("workflow", "history", "p"), {"asyncio", "rich", "importlib.resources", "dataclasses", "typing_extensions"}),
    ],
)
def test_commands_that_look_load_only_what_they_need(place, arguments, absent):
    """A command answers within 50 ms: what is not loaded takes no time."""
    asyncio.run(leave_pending(place / "s.db", "p"))
    code = (
        "import sys\nfrom aeterna.cli.main import main\n"
        "code = main(sys.argv[1:])\nprint(sorted(sys.modules), file=sys.stderr)\nsys.exit(code)"
    )
    store = () if arguments == ("--help",) else ("--store", "s.db")
    # Without site, so that what measures coverage does not count as loaded by the command.
    paths = ":".join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, *arguments, *store],
        env={"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(eval(done.stderr))
    assert not loaded & absent
    assert not any(name.startswith("aeterna.durable.engine") for name in loaded)


def test_a_reader_that_goes_away_is_no_error_to_talk_about(place):
    asyncio.run(leave_pending(place / "s.db", "p"))
    command = f"{sys.executable} -c 'import sys; from aeterna.cli.main import main; sys.exit(main())' --help"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "141"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("",), [command.name for command in registry.COMMANDS]),
        (("wor",), ["workflow", "worker"]),
        (("workflow", ""), [command.name for command in registry.WORKFLOW]),
        (("workflow", "list", "--s"), ["--state", "--server", "--store"]),
        (("workflow", "list", "--state", "C"), ["COMPLETED", "CANCELLED"]),
        (("status", "--store", "s.db", ""), ["order-1"]),
        (("cancel", "--store", "s.db", "x"), []),
        (("status", "--store", "nowhere.db", ""), []),
        (("workflow", "fork", "--store", "s.db", "ord"), ["order-1"]),
        (("queue", "pause", "--store", "s.db", ""), []),
        (("schedule", "show", "--store", "s.db", ""), []),
        (("completion", "f"), ["fish"]),
        (("help", "ex"), ["exit-codes"]),
        (("xyzzy", ""), []),
        (("run", ""), []),
    ],
)
def test_completion_offers_what_fits(cli, place, words, expected):
    asyncio.run(leave_pending(place / "s.db", "order-1"))
    assert cli("__complete", *words).out.split() == expected


def test_bash_completes_with_the_script(cli, place):
    """Ids with a colon too, at which bash splits words."""
    asyncio.run(leave_pending(place / "s.db", "order:1"))
    code = "import sys; from aeterna.cli.main import main; sys.exit(main())"
    (place / "aeterna").write_text(f"#!/bin/bash\nexec {sys.executable} -c '{code}' \"$@\"\n")
    (place / "aeterna").chmod(0o755)
    (place / "script").write_text(cli("completion", "bash").out)

    def complete(line, current):
        ask = (
            f'source ./script; PATH=.:$PATH; COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=("{current}"); '
            'COMP_CWORD=0; _aeterna; echo "${COMPREPLY[@]}"'
        )
        return subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split()

    assert complete("aeterna workf", "workf") == ["workflow"]
    assert complete("aeterna status --store s.db ", "") == ["order:1"]
    assert complete("aeterna status --store s.db order:", "") == ["1"]


def test_every_script_asks_the_program(cli):
    for shell in SCRIPTS:
        answer = cli("completion", shell)
        assert (answer.code, "__complete" in answer.out, "aether" in answer.out) == (0, True, True)


def test_the_program_answers_as_a_process(place):
    assert give("version").code == 0


def test_the_package_is_a_program_too(place):
    """``python -m aeterna``, under that name."""
    done = subprocess.run([sys.executable, "-m", "aeterna", "cancel"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: python -m aeterna cancel " in done.stderr
