"""What a whole configuration becomes, the warnings on the way, and that what is shown of it is all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aeterna.config.effective import document_of, masked_document
from aeterna.config.lines import read_text
from aeterna.config.loading import load
from aeterna.config.nodes import plain
from aeterna.config.spec import (
    CanarySpec,
    CheckSpec,
    ControlSpec,
    DrainSpec,
    LimitsSpec,
    LogSpec,
    OnConflict,
    Overlap,
    Plan,
    ProbeKind,
    ProbeSpec,
    ReadyBy,
    RestartRule,
    RestartSpec,
    RollbackState,
    ServiceSpec,
    SocketSpec,
    StartupSpec,
    StateMode,
    StateSpec,
    Strategy,
    WithoutState,
    decode,
    encode,
)
from aeterna.config.writing import write_yaml
from tests.config.conftest import OLDER, Place

EVERYTHING = """
    version: v1
    x-note: {anything: [goes]}
    services:
      web:
        command: python -m app --fd {fd:http}
        env: {MODE: prod, EMPTY: ""}
        cwd: /srv
        user: www
        group: web
        sockets:
          http: {listen: "0.0.0.0:8080", backlog: 128, nodelay: false}
          six: "[::1]:8081"
          admin: {listen: unix:/run/a.sock, mode: "0660"}
        orchestration:
          strategy: canary
          overlap: overlap
          pre_flight: [{name: dry, command: [app, --check], timeout: 5s, block_on_fail: false}, migrate --check]
          startup: {ready: log, warmup_delay: 1s, timeout: 2m, log_pattern: "^ready"}
          canary:
            weights: [5, 25, 100]
            step_time: 10s
            soak_time: 1m
            health_check: {http_get: /health, interval: 1s, timeout: 500ms, retries: 2, start_period: 3s}
            error_rate_max: 5%
            latency_max: 250ms
            samples_min: 20
          drain: {lame_duck: 2s, timeout: 20s, ws_close: {code: 4000, spread: 1s}, max_generations: 3}
          state_handoff:
            enabled: true
            mode: shared
            socket_path: /run/srp.sock
            timeout: 6s
            blackout_max: 1s
            max_bytes: 1GiB
            on_missing: abort
            on_incompatible: cold
            rollback: reverse
            keep_snapshot: 2m
            digest: sha256
          post_process: {on_success: [notify ok], on_failure: [{command: [notify, bad], timeout: 1s}]}
          reload: {on_conflict: coalesce}
        restart: on-failure:7
        restart_policy: {delay: 1s, max_delay: 10s, factor: 3, jitter: 0, window: 2m, reset_after: 20s}
        healthcheck: {tcp: 8081, interval: 7s}
        limits: {memory: 512m, cpus: 1.5, nofile: 4096, nice: 5, affinity: [0, 1]}
        watchdog: 30s
        stop_signal: SIGINT
        stop_grace_period: 5s
        success_exit_codes: [143]
        permanent_exit_codes: [3, 78]
      worker:
        command: [python, worker.py]
        sockets: {}
    observability:
      metrics_port: 127.0.0.1:9091
      log_level: debug
      log: {format: json, path: /var/log/a.log, max_size: 1m, max_files: 2}
    control: {listen: 7235, token: 0123456789abcdef}
"""


def test_every_key_reaches_the_plan(place: Place) -> None:
    plan = place.plan(EVERYTHING)
    assert plan == Plan(
        source=str(place.directory / "a.yaml"),
        services=(
            WEB,
            ServiceSpec(
                name="worker", command=("python", "worker.py"), cwd=str(place.directory), overlap=Overlap.STOP_FIRST
            ),
        ),
        metrics_listen="127.0.0.1:9091",
        log=LogSpec(level="debug", format="json", path="/var/log/a.log", bytes_max=2**20, files_max=2),
        control=ControlSpec(listen="127.0.0.1:7235", token="0123456789abcdef"),
    )
    assert decode(encode(plan)) == plan


WEB = ServiceSpec(
    name="web",
    command=("python", "-m", "app", "--fd", "{fd:http}"),
    env={"MODE": "prod", "EMPTY": ""},
    cwd="/srv",
    user="www",
    group="web",
    sockets=(
        SocketSpec(name="http", family="tcp4", host="0.0.0.0", port=8080, backlog=128, nodelay=False),
        SocketSpec(name="six", family="tcp6", host="::1", port=8081),
        SocketSpec(name="admin", family="unix", path="/run/a.sock", permissions=0o660),
    ),
    strategy=Strategy.CANARY,
    overlap=Overlap.OVERLAP,
    on_conflict=OnConflict.COALESCE,
    pre_flight=(
        CheckSpec(name="dry", command=("app", "--check"), timeout_ms=5_000, block_on_fail=False),
        CheckSpec(name="migrate", command=("migrate", "--check")),
    ),
    startup=StartupSpec(ready=ReadyBy.LOG, warmup_ms=1_000, timeout_ms=120_000, log_pattern="^ready"),
    canary=CanarySpec(
        weights=(5, 25, 100),
        step_ms=10_000,
        soak_ms=60_000,
        probe=ProbeSpec(
            kind=ProbeKind.HTTP, url="/health", interval_ms=1_000, timeout_ms=500, retries=2, start_period_ms=3_000
        ),
        error_rate_max=0.05,
        latency_ms_max=250,
        samples_min=20,
    ),
    drain=DrainSpec(
        lame_duck_ms=2_000, timeout_ms=20_000, ws_close_code=4000, ws_close_spread_ms=1_000, generations_max=3
    ),
    state=StateSpec(
        mode=StateMode.SHARED,
        socket_path="/run/srp.sock",
        timeout_ms=6_000,
        blackout_ms_max=1_000,
        bytes_max=2**30,
        on_missing=WithoutState.ABORT,
        on_incompatible=WithoutState.COLD,
        rollback=RollbackState.REVERSE,
        keep_snapshot_ms=120_000,
        digest="sha256",
    ),
    on_success=(CheckSpec(name="notify", command=("notify", "ok")),),
    on_failure=(CheckSpec(name="notify", command=("notify", "bad"), timeout_ms=1_000),),
    health=ProbeSpec(kind=ProbeKind.TCP, address="127.0.0.1:8081", interval_ms=7_000),
    watchdog_ms=30_000,
    restart=RestartSpec(
        rule=RestartRule.ON_FAILURE,
        delay_ms=1_000,
        delay_ms_max=10_000,
        factor=3.0,
        jitter=0.0,
        window_ms=120_000,
        attempts_max=7,
        reset_ms=20_000,
    ),
    limits=LimitsSpec(memory_bytes=512 * 2**20, cpus=1.5, nofile=4096, nice=5, affinity=(0, 1)),
    stop_signal=2,
    stop_grace_ms=5_000,
    success_exit_codes=(143,),
    permanent_exit_codes=(3, 78),
)


def test_the_three_formats_mean_the_same(place: Place) -> None:
    content = plain(read_text(EVERYTHING.replace("\n    ", "\n"), "a", ".yaml"))
    as_json = place.plan(json.dumps(content, indent=1), name="a.json")
    assert as_json.services == place.plan(EVERYTHING).services
    toml = """
        [service]
        name = "a"
        command = ["b"]
        env = {PORT = 8080, DEBUG = true, RATE = 1.5}
        [orchestration.drain]
        timeout = "5s"
        max_generations = 3
        [[orchestration.pre_flight]]
        command = "c"
    """
    [service] = place.plan(toml, name="a.toml").services
    assert service.env == {"PORT": "8080", "DEBUG": "true", "RATE": "1.5"}
    assert (service.drain.timeout_ms, service.drain.generations_max) == (5_000, 3)
    assert service.pre_flight[0].command == ("c",)


def test_what_is_left_out_is_as_the_records_say(place: Place) -> None:
    service = place.service("service: {name: a, command: b}\nsockets: {http: 8080}")
    http = SocketSpec(name="http", family="tcp4", host="0.0.0.0", port=8080)
    assert service == ServiceSpec(name="a", command=("b",), cwd=str(place.directory), sockets=(http,))


def test_the_canary_asks_what_the_service_is_asked_if_it_has_no_question_of_its_own(place: Place) -> None:
    service = place.service("service: {name: a, command: b}\nsockets: {http: 1}\nhealthcheck: {http_get: /h}")
    assert service.canary.probe == service.health


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("orchestration: {canary: {weights: [5, 25]}}", "orchestration.canary.weights: the last weight is 100"),
        ("orchestration: {canary: {step_time: 5s}}", "orchestration.canary.step_time: not used: there is no weight"),
        (
            "orchestration: {strategy: immediate, canary: {soak_time: 5s}}",
            "orchestration.canary.soak_time: not used with `strategy: immediate`",
        ),
        (
            "orchestration: {canary: {soak_time: 5s, health_check: {http_get: /h, interval: 3s}}}",
            "orchestration.canary: 3 failures of a probe every 3s take 9s, but the soak ends after 5s",
        ),
        (
            "orchestration: {canary: {health_check: {http_get: 'http://localhost:9999/h'}}}",
            "orchestration.canary.health_check: localhost:9999 is none of this service's sockets, so the old",
        ),
        (
            "orchestration: {canary: {health_check: {tcp: '10.0.0.1:8080'}}}",
            "orchestration.canary.health_check: 10.0.0.1:8080 is none of this service's sockets",
        ),
        ("stop_grace_period: 40s", "stop_grace_period: stopping may take 41s, lame duck included"),
        (
            "orchestration: {drain: {lame_duck: 25s}}",
            "orchestration.drain.lame_duck: stopping may take 35s, lame duck included",
        ),
        (
            "orchestration: {state_handoff: {enabled: true, blackout_max: 10s}}",
            (
                "orchestration.state_handoff.blackout_max: while nobody accepts for 10s, 4096 connections may wait: "
                "more than 409 per second are refused"
            ),
        ),
        (
            "orchestration: {startup: {log_pattern: x, ready: notify}}",
            "orchestration.startup.log_pattern: not used with",
        ),
        ("control: {listen: 9000, token: short}", "control.token: fewer than 16 characters can be guessed"),
        ("healthcheck: {tcp: true, start_interval: 1s}", "healthcheck.start_interval: not used"),
    ],
)
def test_a_surprise_is_warned_of(text: str, message: str, place: Place) -> None:
    [warning] = place.plan(f"service: {{name: a, command: b}}\nsockets: {{http: 8080}}\n{text}").warnings
    assert warning.startswith(f"{place.directory}/a.yaml:3: {message}")


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("command: b, binary_path: /c", "services.a.binary_path: not used: `command:` says what runs"),
        (
            "command: b, sockets: {u: {listen: 80, mode: '0600'}}",
            "services.a.sockets.u.mode: only Unix sockets have permissions; this is not used",
        ),
        (
            "command: b, sockets: {u: {listen: 80, backlog: 10}}, orchestration: {state_handoff: {enabled: true}}",
            "services.a.sockets.u.backlog: while nobody accepts for 2s, 10 connections may wait: more than 5 per",
        ),
    ],
)
def test_a_surprise_within_a_service_is_warned_of(service: str, message: str, place: Place) -> None:
    sockets = "" if "sockets" in service else ", sockets: {}"
    [warning] = place.plan(f"services: {{a: {{{service}{sockets}}}}}").warnings
    assert warning.startswith(f"{place.directory}/a.yaml:1: {message}")


ROUND_TRIPS = {
    "everything": EVERYTHING,
    "older, long": (OLDER / "aeterna-A.yaml").read_text(encoding="utf-8"),
    "older, short": (OLDER / "aeterna-B.yaml").read_text(encoding="utf-8"),
    "immediate": "service: {name: a, command: b, env: [PORT=1]}\norchestration: {strategy: immediate}",
    "no soak": "service: {name: a, command: b, env: [PORT=1]}\norchestration: {canary: {enabled: false}}",
    "exec probe": "service: {name: a, command: b}\nsockets: {}\nhealthcheck: {test: 'curl -f x || exit 1'}",
    "tcp probe": "service: {name: a, command: b}\nsockets: {h: 80}\nhealthcheck: {tcp: true}",
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_what_is_shown_is_all_of_it(name: str, place: Place) -> None:
    """Read again, the effective configuration gives the same plan, and nothing to warn of."""
    plan = place.plan(ROUND_TRIPS[name])
    again = place.plan(write_yaml(document_of(plan)), name="b.yaml")
    assert again.services == plan.services
    assert (again.metrics_listen, again.log, again.control) == (plan.metrics_listen, plan.log, plan.control)
    assert again.warnings == ()


def test_secrets_are_masked_in_what_is_shown(place: Place) -> None:
    text = """
        service:
          name: a
          command: [b, "--db=postgres://me:hush@db/x"]
          env: {API_KEY: hush, DB_PASSWORD: hush, AUTH_TOKEN: "", KEYBOARD: qwerty, URL: "http://u:hush@h/"}
        sockets: {}
        control: {listen: 1, token: hushhushhushhush}
    """
    document = masked_document(document_of(place.plan(text)))
    shown = write_yaml(document)
    assert "hush" not in shown
    assert document["service"]["env"]["AUTH_TOKEN"] == ""
    assert document["service"]["env"]["KEYBOARD"] == "qwerty"
    assert document["service"]["command"][1] == "--db=postgres://me:********@db/x"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DOCUMENTS = st.dictionaries(
    TEXTS.filter(lambda text: not text.startswith("x-")),
    st.recursive(
        TEXTS
        | st.sampled_from(["no", "null", "~", "1.10", "a: b", "a #b", "- a", "{fd:x}", "true", "0x1", "1:30", "é"]),
        lambda inner: (
            st.lists(TEXTS, max_size=3)
            | st.lists(
                st.dictionaries(TEXTS.filter(lambda t: not t.startswith("x-")), inner, min_size=1, max_size=2),
                max_size=2,
            )
            | st.dictionaries(TEXTS.filter(lambda t: not t.startswith("x-")), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


@given(DOCUMENTS)
def test_what_is_written_as_yaml_reads_as_it_was(document: dict[str, object]) -> None:
    """By our reader and by others, with remarks and without."""
    for remark in (None, lambda _: "a remark"):
        text = write_yaml(document, remark)
        assert plain(read_text(text, "a", ".yaml")) == document
        assert yaml.safe_load(text) == document


def test_a_relative_path_of_the_configuration_is_made_absolute(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("service: {name: a, command: b}\nsockets: {}")
    monkeypatch.chdir(place.directory)
    plan = load(Path("aeterna.yaml"), {})
    assert plan.source == str(place.directory / "aeterna.yaml")
    assert plan.services[0].cwd == str(place.directory)
