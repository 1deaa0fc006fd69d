"""The two older files load unchanged and mean what they meant; older spellings are accepted, contradictions are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from aeterna.config.loading import load
from aeterna.config.spec import (
    CanarySpec,
    CheckSpec,
    Overlap,
    Plan,
    ProbeKind,
    ProbeSpec,
    SocketSpec,
    StateMode,
    Strategy,
)
from tests.config.conftest import OLDER, Place

ALONE = "service: {name: a, command: [b]}\nsockets: {http: 8080}\n"


def older(name: str) -> Plan:
    return load(OLDER / name, {})


def test_the_longer_of_the_older_files_loads_unchanged() -> None:
    plan = older("aeterna-A.yaml")
    [service] = plan.services
    assert plan.warnings == ()
    assert (plan.metrics_listen, plan.log.level) == ("0.0.0.0:9091", "info")
    assert service.name == "llm-inference-core"
    assert service.command == ("/app/venv/bin/python", "main.py")
    assert service.env == {"PORT": "8080", "MODEL_PATH": "/models/llama3-70b"}
    assert service.sockets == (SocketSpec(name="http", family="tcp4", host="0.0.0.0", port=8080),)
    assert service.pre_flight == (
        CheckSpec(name="Config Dry-run", command=("/app/venv/bin/python", "main.py", "--check"), timeout_ms=5_000),
    )
    assert service.startup.warmup_ms == 10_000
    assert service.canary == CanarySpec(
        soak_ms=60_000, probe=ProbeSpec(kind=ProbeKind.HTTP, url="http://localhost:8080/health", interval_ms=5_000)
    )
    assert service.drain.timeout_ms == 30_000
    assert service.state.mode is StateMode.EXCLUSIVE
    assert (service.state.socket_path, service.state.timeout_ms) == ("/var/run/aeterna/srp.sock", 15_000)
    assert service.overlap is Overlap.AUTO


def test_the_shorter_of_the_older_files_loads_unchanged_and_stops_the_old_process_first() -> None:
    plan = older("aeterna-B.yaml")
    [service] = plan.services
    assert service.canary.soak_ms == 60_000
    assert service.sockets == ()
    assert service.overlap is Overlap.STOP_FIRST
    assert service.state.mode is StateMode.EXCLUSIVE
    assert (service.state.socket_path, service.state.timeout_ms) == ("/var/run/aeterna-state.sock", 10_000)
    assert service.cwd == str(OLDER)
    path = OLDER / "aeterna-B.yaml"
    assert plan.warnings == (
        (
            f"{path}:2: service: it has neither `sockets:` nor PORT in its `env:`, so it may bind a port itself: on a "
            "reload the old process stops before the new one starts; with `orchestration.overlap: overlap` they run "
            "side by side"
        ),
        f"{path}:9: orchestration.soak_time: deprecated: write orchestration.canary.soak_time",
    )


@pytest.mark.parametrize("name", ["aeterna-A.yaml", "aeterna-B.yaml"])
def test_the_kept_copies_are_the_files_as_they_were_handed_down(name: str) -> None:
    """Their keys and values, so that nobody makes the tests pass by changing them."""
    lines = (OLDER / name).read_text(encoding="utf-8").splitlines()
    assert lines[0] == 'version: "v1"'
    assert len(lines) == {"aeterna-A.yaml": 33, "aeterna-B.yaml": 16}[name]


def warning(place: Place, text: str) -> str:
    [found] = place.plan(ALONE + text).warnings
    return found.removeprefix(f"{place.directory}/")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("orchestration: {soak_time: 5s}", "orchestration.soak_time: deprecated: write orchestration.canary.soak_time"),
        (
            "orchestration: {canary: {enabled: false}}",
            "orchestration.canary.enabled: no soak; write `orchestration.strategy: immediate` instead",
        ),
        ("depends_on: [db]", "depends_on: accepted, but the order of starting is not kept: services start together"),
        ("profiles: [dev]", "profiles: accepted, but every service is started"),
        ("develop: {watch: []}", "develop: accepted, but files are not watched"),
        (
            "orchestration: {state_handoff: {timeout: 1s}}",
            "orchestration.state_handoff: no memory moves: add `enabled: true`",
        ),
    ],
)
def test_what_is_older_or_has_no_effect_is_said(text: str, message: str, place: Place) -> None:
    assert warning(place, text) == f"a.yaml:3: {message}"


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("orchestration: {soak_time: 5s}", "orchestration: {canary: {soak_time: 5s}}"),
        ("orchestration: {soak_time: 5s, canary: {soak_time: 5000ms}}", "orchestration: {canary: {soak_time: 5s}}"),
        ("orchestration: {strategy: hot-relay}", "orchestration: {strategy: canary}"),
        ("orchestration: {strategy: hot_relay}", "orchestration: {strategy: canary}"),
        ("orchestration: {canary: {steps: [10%, 50%, 100%]}}", "orchestration: {canary: {weights: [10, 50, 100]}}"),
        ("orchestration: {canary: {weights: '10, 50,100'}}", "orchestration: {canary: {weights: [10, 50, 100]}}"),
        ("mem_limit: 1g", "limits: {memory: 1GiB}"),
        ("cpus: 1.5", "limits: {cpus: 1.5}"),
        ("healthcheck: {test: [CMD, a, b]}", "healthcheck: {exec: a b}"),
        ("healthcheck: {command: [a, b]}", "healthcheck: {exec: a b}"),
        ("healthcheck: {test: a b}", "healthcheck: {test: [CMD-SHELL, a b]}"),
        ("healthcheck: {test: a b}", "healthcheck: {exec: [/bin/sh, -c, a b]}"),
        ("healthcheck: {test: [NONE]}", ""),
        ("restart: on-failure:7", "restart: on-failure\nrestart_policy: {max_attempts: 7}"),
        ("restart: no", "restart: 'false'"),
        ("stop_signal: 2", "stop_signal: SIGINT"),
        ("stop_signal: int", "stop_signal: SIGINT"),
        ("limits: {affinity: '0-2,5'}", "limits: {affinity: [5, 0, 1, 2]}"),
        ("orchestration: {pre_flight: [a b]}", "orchestration: {pre_flight: [{command: [a, b]}]}"),
        ("sockets: {http: {listen: 8080}}", "sockets: {http: '0.0.0.0:8080'}"),
        ("observability: {metrics_port: 9091}", "observability: {metrics_port: ':9091'}"),
        ("observability: {log_level: warning}", "observability: {log_level: warn}"),
        (
            "orchestration: {state_handoff: {mode: shared}}",
            "orchestration: {state_handoff: {enabled: true, mode: shared}}",
        ),
        ("version: 1", "version: v1"),
    ],
)
def test_two_spellings_mean_the_same(text: str, other: str, place: Place) -> None:
    alone = ALONE if "sockets" not in text else "service: {name: a, command: [b]}\n"
    first, second = place.plan(alone + text), place.plan(alone + other)
    assert first.services == second.services
    assert (first.metrics_listen, first.log) == (second.metrics_listen, second.log)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("env: [A=1, 'B=x=y', 'C=']", "env: {A: 1, B: x=y, C: ''}"),
        ("env: {A: yes, B: 1.10, C: 0o7}", "env: ['A=yes', 'B=1.10', 'C=0o7']"),
        ("environment: {A: 1}", "env: {A: 1}"),
        ("working_dir: sub", "cwd: sub/."),
        ("user: '1:2'", "user: 1, group: 2"),
        ("command: run --fast 'two words'", "command: [run, --fast, two words]"),
        ("binary_path: /bin/run", "command: [/bin/run]"),
    ],
)
def test_two_spellings_within_a_service_mean_the_same(text: str, other: str, place: Place) -> None:
    def services(given: str) -> object:
        command = "" if "command" in given or "binary" in given else "command: [b], "
        return place.plan(f"services: {{a: {{{command}{given}, sockets: {{}}}}}}").services

    assert services(text) == services(other)


def test_services_may_be_a_list(place: Place) -> None:
    listed = place.plan("services: [{name: a, command: [x], sockets: {}}, {name: b, command: [y], sockets: {}}]")
    named = place.plan("services: {a: {command: [x], sockets: {}}, b: {command: [y], sockets: {}}}")
    assert listed.services == named.services
    assert [service.name for service in listed.services] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "key", "other"),
    [
        (
            "orchestration: {soak_time: 5s,\n canary: {soak_time: 6s}}",
            "orchestration.soak_time = '5s'",
            "orchestration.canary.soak_time in line 4",
        ),
        (
            "orchestration: {canary: {weights: [50, 100],\n steps: [60, 100]}}",
            "orchestration.canary.steps = '[60, 100]'",
            "orchestration.canary.weights in line 3",
        ),
        ("limits: {memory: 1g}\nmem_limit: 2g", "mem_limit = '2g'", "limits.memory in line 3"),
        ("limits: {cpus: 1}\ncpus: 2", "cpus = '2'", "limits.cpus in line 3"),
        (
            "restart: on-failure:3\nrestart_policy: {max_attempts: 4}",
            "restart = 'on-failure:3'",
            "restart_policy.max_attempts in line 4",
        ),
        ("healthcheck: {exec: a,\n command: b}", "healthcheck.command = 'b'", "healthcheck.exec in line 3"),
    ],
)
def test_two_spellings_that_disagree_are_a_mistake(text: str, key: str, other: str, place: Place) -> None:
    first, second, third = place.refusal(ALONE + text).split("\n")
    assert first.partition(": ")[2] == key
    assert second == f"  wrong: {other} means the same and says otherwise"
    assert third.startswith("  right: one of the two, best ")


@pytest.mark.parametrize(
    ("env", "sockets", "ports"),
    [
        ("[PORT=8080]", "", [8080]),
        ("{PORT: 0}", "", [0]),
        ("[PORT=8080]", "sockets: {}", []),
        ("[PORT=8080]", "sockets: {admin: 9000}", [9000]),
        ("[PORT=any]", "sockets: {}", []),
    ],
)
def test_a_port_in_the_environment_is_a_socket_unless_sockets_are_given(
    env: str, sockets: str, ports: list[int], place: Place
) -> None:
    service = place.service(f"service: {{name: a, command: [b], env: {env}}}\n{sockets}")
    assert [socket.port for socket in service.sockets] == ports
    assert service.overlap is (Overlap.AUTO if ports else Overlap.STOP_FIRST)


def test_a_port_in_the_environment_that_is_none_is_a_mistake(place: Place) -> None:
    assert place.refusal("service: {name: a, command: [b], env: [PORT=any]}") == (
        "a.yaml:1: service.env.PORT = 'any'\n"
        "  wrong: 'any' is no port, and without `sockets:` PORT is the socket to hold\n"
        "  right: a number; or `sockets:` with the socket to hold, or `sockets: {}` for none"
    )


def test_without_sockets_somebody_may_know_better(place: Place) -> None:
    plan = place.plan("service: {name: a, command: [b]}\norchestration: {overlap: overlap}")
    assert plan.services[0].overlap is Overlap.OVERLAP
    assert plan.warnings == ()


@pytest.mark.parametrize("text", ["{strategy: immediate}", "{canary: {enabled: false}}"])
def test_both_switches_end_the_soak(text: str, place: Place) -> None:
    service = place.service(f"{ALONE}orchestration: {text}")
    assert (service.canary.weights, service.canary.soak_ms) == ((100,), 0)
    assert service.strategy is (Strategy.IMMEDIATE if "immediate" in text else Strategy.CANARY)


def test_paths_are_those_below_the_configuration(place: Place) -> None:
    text = """
        service: {name: a, command: [b], cwd: work}
        sockets: {u: "unix:run/u.sock"}
        orchestration: {state_handoff: {enabled: true, socket_path: run/srp.sock}}
        observability: {log: {path: log/a.log}}
    """
    plan = place.plan(text)
    [service] = plan.services
    below = [service.cwd, service.sockets[0].path, service.state.socket_path, plan.log.path, plan.source]
    directory = place.directory
    names = ("work", "run/u.sock", "run/srp.sock", "log/a.log", "a.yaml")
    assert [Path(path) for path in below] == [directory / name for name in names]
