"""Defaults < file < .env < environment < command line; every value remembers where it came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.config.dotenv import parse_dotenv
from aeterna.config.inputs import inputs_digest
from aeterna.config.interpolation import interpolate
from aeterna.config.loading import load_with_origins
from aeterna.config.mistakes import MistakesError, UnfitError
from aeterna.config.origins import DEFAULT, origin_of
from tests.config.conftest import Place

SERVICE = """
    service: {name: a, command: [b], env: [PORT=1, HOME]}
    orchestration:
      drain: {timeout: 1s}
"""
DRAIN = ("orchestration", "drain", "timeout")


@pytest.mark.parametrize(
    ("dotenv", "environ", "overrides", "ms"),
    [
        ("", {}, [], 1_000),
        ("AETERNA__ORCHESTRATION__DRAIN__TIMEOUT=2s", {}, [], 2_000),
        ("AETERNA__ORCHESTRATION__DRAIN__TIMEOUT=2s", {"AETERNA__ORCHESTRATION__DRAIN__TIMEOUT": "3s"}, [], 3_000),
        ("", {"AETERNA__ORCHESTRATION__DRAIN__TIMEOUT": "3s"}, ["orchestration.drain.timeout=4s"], 4_000),
        ("", {}, ["orchestration.drain.timeout=4s", "orchestration.drain.timeout=5s"], 5_000),
        ("", {}, ["orchestration.drain={timeout: 6s}"], 6_000),
    ],
)
def test_the_higher_layer_wins(
    dotenv: str, environ: dict[str, str], overrides: list[str], ms: int, place: Place
) -> None:
    place.write(dotenv, ".env")
    assert place.service(SERVICE, environ, overrides).drain.timeout_ms == ms


def test_a_layer_reaches_every_kind_of_place(place: Place) -> None:
    """Variables with their case, lists by number or whole, names with other letters, sections that are not there."""
    text = """
        services:
          my-api.v2:
            command: [run, --fast]
            sockets: {}
            env: {lower: x}
    """
    environ = {
        "AETERNA__SERVICES__MY_API_V2__COMMAND__1": "--slow",
        "AETERNA__SERVICES__MY_API_V2__ENV__Mixed": "y=z",
        "AETERNA__SERVICES__MY_API_V2__SUCCESS_EXIT_CODES": "[1, 2]",
        "AETERNA__OBSERVABILITY__LOG__FORMAT": "json",
        "AETERNA_STORE": "not ours",
    }
    plan = place.plan(text, environ, ["observability.log_level=debug"])
    [service] = plan.services
    assert service.command == ("run", "--slow")
    assert service.env == {"lower": "x", "Mixed": "y=z"}
    assert service.success_exit_codes == (1, 2)
    assert (plan.log.format, plan.log.level) == ("json", "debug")


@pytest.mark.parametrize(
    ("environ", "overrides", "message"),
    [
        (
            {"AETERNA__SERVICE__COMMAND__7": "x"},
            [],
            (
                "environment variable AETERNA__SERVICE__COMMAND__7\n"
                "  wrong: '7' is no number of an item of the list\n"
                "  right: a number below 1, or the whole list as [a, b]"
            ),
        ),
        (
            {"AETERNA__SERVICE__NAME__X": "x"},
            [],
            (
                "environment variable AETERNA__SERVICE__NAME__X\n"
                "  wrong: what is above 'X' is a text: 'a'\n"
                "  right: a key that has keys below"
            ),
        ),
        (
            {"AETERNA__": "x"},
            [],
            "environment variable AETERNA__\n  wrong: its name has an empty part\n  right: AETERNA__SECTION__KEY",
        ),
        (
            {},
            ["drain"],
            "command line (drain)\n  wrong: it sets nothing\n  right: KEY=VALUE, like orchestration.drain.timeout=10s",
        ),
        (
            {"AETERNA__ORCHESTRATION__DRAIN__TIMOUT": "1s"},
            ["orchestration.drain.lame_duck=1"],
            (
                "command line: orchestration.drain.lame_duck = '1'\n"
                "  wrong: it has no unit\n"
                "  right: 1s for seconds, or 1ms for milliseconds\n"
                "environment variable AETERNA__ORCHESTRATION__DRAIN__TIMOUT: orchestration.drain.timout\n"
                "  wrong: there is no such key\n"
                "  right: did you mean 'timeout'?"
            ),
        ),
    ],
)
def test_a_mistake_in_a_layer_names_the_layer(
    environ: dict[str, str], overrides: list[str], message: str, place: Place
) -> None:
    assert place.refusal(SERVICE, environ, overrides) == message


def test_every_value_remembers_where_it_came_from(place: Place) -> None:
    path = place.write("service: {name: a, command: ['${WHO:-me}']}\nstop_grace_period: 1s\nsockets: {http: 8080}\n")
    place.write("AETERNA__RESTART=no\n", ".env")
    environ = {"AETERNA__ORCHESTRATION__DRAIN__TIMEOUT": "3s", "WHO": "you"}
    root = load_with_origins(path, environ, ["watchdog=5s"]).findings.root
    origins = {
        ("stop_grace_period",): f"{path}:2",
        ("service", "command"): f"{path}:1",
        ("sockets", "http", "backlog"): DEFAULT,
        ("sockets", "http", "listen"): f"{path}:3",
        ("restart",): f"{path.parent}/.env:1",
        DRAIN: "environment variable AETERNA__ORCHESTRATION__DRAIN__TIMEOUT",
        ("watchdog",): "command line",
        ("orchestration", "drain", "lame_duck"): DEFAULT,
        ("observability", "log", "format"): DEFAULT,
    }
    assert {key: origin_of(root, key) for key in origins} == origins


@pytest.mark.parametrize(
    ("written", "effective", "line"),
    [
        ("orchestration: {soak_time: 1s}", ("orchestration", "canary", "soak_time"), 2),
        ("orchestration: {canary: {enabled: false}}", ("orchestration", "canary", "soak_time"), 2),
        ("orchestration: {canary: {steps: [50, 100]}}", ("orchestration", "canary", "weights"), 2),
        ("mem_limit: 1g", ("limits", "memory"), 2),
        ("restart: on-failure:3", ("restart_policy", "max_attempts"), 2),
        ("healthcheck: {test: [CMD, a], interval: 1s}", ("healthcheck", "exec"), 2),
        ("healthcheck: {test: [CMD, a], interval: 1s}", ("orchestration", "canary", "health_check", "exec"), 2),
        ("healthcheck: {test: [CMD, a], interval: 1s}", ("orchestration", "canary", "health_check", "interval"), 2),
        ("", ("sockets", "http", "listen"), 1),
        ("", ("service", "cwd"), 1),
    ],
)
def test_an_origin_is_found_under_the_older_name_too(
    written: str, effective: tuple[str, ...], line: int, place: Place
) -> None:
    path = place.write(f"service: {{name: a, command: [b], env: [PORT=8080], working_dir: c}}\n{written}\n")
    assert origin_of(load_with_origins(path, {}).findings.root, effective) == f"{path}:{line}"


def test_an_origin_is_found_among_several_services(place: Place) -> None:
    path = place.write(
        "services:\n  a:\n    command: b\n    restart: no\n    sockets: {}\n  c: {command: d, env: [PORT=1]}\n"
    )
    root = load_with_origins(path, {}).findings.root
    origins = {
        ("version",): DEFAULT,
        ("services", "a", "restart"): f"{path}:4",
        ("services", "a", "watchdog"): DEFAULT,
        ("services", "a", "sockets"): f"{path}:5",
        ("services", "c", "sockets", "http", "listen"): f"{path}:6",
        ("services", "c", "command"): f"{path}:6",
    }
    assert {key: origin_of(root, key) for key in origins} == origins


def test_a_single_service_among_services_has_its_origins_too(place: Place) -> None:
    path = place.write("services:\n  a:\n    command: b\n    sockets: {}\n    mem_limit: 1g\n")
    root = load_with_origins(path, {}).findings.root
    assert origin_of(root, ("service", "command")) == f"{path}:3"
    assert origin_of(root, ("limits", "memory")) == f"{path}:5"
    assert origin_of(root, ("watchdog",)) == DEFAULT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", "a"),
        ("${A}", "1"),
        ("x${A}y${A}", "x1y1"),
        ("${NO:-d}", "d"),
        ("${NO-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${NO:-}", ""),
        ("${NO:-${A}}", "1"),
        ("${A:?why}", "1"),
        ("$A $$ $${A} $", "$A $$ ${A} $"),
        ("echo $HOME $(date)", "echo $HOME $(date)"),
    ],
)
def test_variables_are_put_in(text: str, value: str) -> None:
    assert interpolate(text, {"A": "1", "EMPTY": "", "NEAR_MISS": ""})[0] == value


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("${NO}", "the variable NO is not set", "set it, or give a default: ${NO:-default}"),
        ("${NEARMISS}", "the variable NEARMISS is not set", "did you mean 'NEAR_MISS'?"),
        ("${EMPTY:?say it}", "the variable EMPTY is empty: say it", "set it"),
        ("${A", "a `${` is not closed", "${NAME}"),
        ("${}", "${} names no variable", "${NAME}"),
        ("${A b}", "${A b} names no variable", "${NAME}"),
        ("${X:-" * 20 + "}" * 20, "defaults are nested too deeply", "${NAME}"),
    ],
)
def test_a_variable_that_cannot_be_put_in_is_refused(text: str, wrong: str, right: str) -> None:
    with pytest.raises(UnfitError) as caught:
        interpolate(text, {"A": "1", "EMPTY": "", "NEAR_MISS": ""})
    assert caught.value.wrong == wrong
    assert right in caught.value.right


def test_an_unset_variable_is_a_mistake_of_its_line(place: Place) -> None:
    text = "service: {name: a}\nobservability:\n  log_level: ${LEVEL}\n"
    assert place.refusal(text, {"LEVELS": "x"}).startswith(
        "a.yaml:3: observability.log_level = '${LEVEL}'\n"
        "  wrong: the variable LEVEL is not set\n"
        "  right: set it, or give a default: ${LEVEL:-default}; did you mean 'LEVELS'?"
    )


def test_variables_come_from_the_environment_before_dotenv(place: Place) -> None:
    place.write("A=file\nB=file\n", ".env")
    service = place.service("service: {name: a, command: ['${A}', '${B}'], env: [A, NONE]}", {"A": "shell"})
    assert service.command == ("shell", "file")
    assert service.env == {"A": "shell"}


@given(st.text(max_size=30))
def test_a_text_without_braces_is_left_alone(text: str) -> None:
    assert interpolate(text.replace("${", "$"), {})[0] == text.replace("${", "$")


def test_a_dotenv_file_has_names_values_comments_and_quotes() -> None:
    text = (
        '# c\n\nA=1\nexport B = two words # c\nC=\'a # \\n b\' # c\nD="a\\n\\"b\\""\nE=\nF=a#b\nA=2\nG=#c\nH="" # c\n'
    )
    found = {name: value for name, (value, _) in parse_dotenv(text, ".env").items()}
    assert found == {
        "A": "2",
        "B": "two words",
        "C": "a # \\n b",
        "D": 'a\n"b"',
        "E": "",
        "F": "a#b",
        "G": "",
        "H": "",
    }


def test_every_bad_line_of_a_dotenv_file_is_named() -> None:
    with pytest.raises(MistakesError) as caught:
        parse_dotenv("A\nB='x\n1=2\n", ".env")
    assert str(caught.value) == (
        ".env:1\n  wrong: it is no NAME=VALUE\n  right: lines like NAME=VALUE or NAME='some value'\n"
        ".env:2\n  wrong: its quotes are not closed, or something follows them\n"
        "  right: lines like NAME=VALUE or NAME='some value'\n"
        ".env:3\n  wrong: it is no NAME=VALUE\n  right: lines like NAME=VALUE or NAME='some value'"
    )


def test_a_dotenv_that_cannot_be_read_is_refused(place: Place) -> None:
    (place.directory / ".env").write_bytes(b"A=\xff")
    assert place.refusal(SERVICE).startswith(".env\n  wrong: it cannot be read: it is not UTF-8")


def test_the_digest_of_the_inputs_changes_with_each_of_them(place: Place) -> None:
    path = place.write(SERVICE)
    seen = {inputs_digest(path, {}), inputs_digest(path, {"A": "1"}), inputs_digest(path, {}, ["A=1"])}
    place.write("A=1", ".env")
    seen.add(inputs_digest(path, {}))
    place.write("version: v1")
    seen.add(inputs_digest(path, {}))
    path.unlink()
    seen.add(inputs_digest(path, {}))
    assert len(seen) == 6
    assert inputs_digest(path, {}) in seen
