"""Every mistake is refused, all at once, each with its place, key, value, what is wrong and what would be right."""

from __future__ import annotations

import pytest

from tests.config.conftest import Place

HEAD = "service: {name: a, command: [b]}\nsockets: {http: 8080, admin: 'unix:a.sock'}\n"

BELOW_HEAD: list[tuple[str, str]] = [
    (
        "orchestraton: {}",
        """
        a.yaml:3: orchestraton
          wrong: there is no such key
          right: did you mean 'orchestration'?
        """,
    ),
    (
        "orchestration: {warmup_delay: 3s}",
        """
        a.yaml:3: orchestration.warmup_delay
          wrong: there is no such key
          right: 'warmup_delay' stands in orchestration.startup.warmup_delay
        """,
    ),
    (
        "observability: {colour: red}",
        """
        a.yaml:3: observability.colour
          wrong: there is no such key
          right: one of metrics_port, log_level, log
        """,
    ),
    (
        "orchestration: {strategy: canry}",
        """
        a.yaml:3: orchestration.strategy = 'canry'
          wrong: there is no such choice
          right: immediate or canary; did you mean 'canary'?
        """,
    ),
    (
        "orchestration: {overlap: sleep-standby}",
        """
        a.yaml:3: orchestration.overlap = 'sleep-standby'
          wrong: there is no such choice
          right: auto or overlap or stop-first
        """,
    ),
    (
        "version: v2",
        """
        a.yaml:3: version = 'v2'
          wrong: there is no such choice
          right: v1
        """,
    ),
    (
        "orchestration:\n  drain:\n    timeout: 30sec",
        """
        a.yaml:5: orchestration.drain.timeout = '30sec'
          wrong: there is no unit 'sec'
          right: a number with a unit, like 5s, 250ms, 1m30s or 1h; did you mean '30s'?
        """,
    ),
    (
        "orchestration: {startup: {timeout: 0s}}",
        """
        a.yaml:3: orchestration.startup.timeout = '0s'
          wrong: it must be longer than nothing
          right: a number with a unit, like 5s, 250ms, 1m30s or 1h
        """,
    ),
    (
        "orchestration: {drain: {timeout: [1s]}}",
        """
        a.yaml:3: orchestration.drain.timeout = '[1s]'
          wrong: it is a list
          right: a number with a unit, like 5s, 250ms, 1m30s or 1h
        """,
    ),
    (
        "orchestration: {canary: {enabled: maybe}}",
        """
        a.yaml:3: orchestration.canary.enabled = 'maybe'
          wrong: it is neither true nor false
          right: true or false
        """,
    ),
    (
        "orchestration: {canary: {samples_min: 1.5}}",
        """
        a.yaml:3: orchestration.canary.samples_min = '1.5'
          wrong: it is no such number
          right: a number of probes from 1 to 1000000
        """,
    ),
    (
        "orchestration: {canary: {error_rate_max: 120%}}",
        """
        a.yaml:3: orchestration.canary.error_rate_max = '120%'
          wrong: it is out of range
          right: a share of failed probes from 0 to 1
        """,
    ),
    (
        "limits: {cpus: some, memory: 8 gigs}",
        """
        a.yaml:3: limits.cpus = 'some'
          wrong: it is no number
          right: a number of processors from 0.01 to 4096
        a.yaml:3: limits.memory = '8 gigs'
          wrong: it is no size
          right: a number of bytes, with a unit if you like: 512m, 8GiB or 1.5g (k, m, g and t are powers of 1,024); \
did you mean '8g'?
        """,
    ),
    (
        "orchestration: {canary: {weights: [0, 100]}}",
        """
        a.yaml:3: orchestration.canary.weights = '[0, 100]'
          wrong: '0' is no percentage from 1 to 100
          right: whole percentages that rise to 100, like [5, 25, 100]
        """,
    ),
    (
        "orchestration: {canary: {weights: [50, 20]}}",
        """
        a.yaml:3: orchestration.canary.weights = '[50, 20]'
          wrong: the weights do not rise
          right: [20, 50, 100]
        """,
    ),
    (
        "limits: {affinity: 3-1}",
        """
        a.yaml:3: limits.affinity = '3-1'
          wrong: '3-1' is no processor
          right: numbers of processors, like [0, 1] or "0-3,6"
        """,
    ),
    (
        "restart: alway",
        """
        a.yaml:3: restart = 'alway'
          wrong: there is no such rule
          right: no or always or on-failure or unless-stopped; did you mean 'always'?
        """,
    ),
    (
        "restart: always:3",
        """
        a.yaml:3: restart = 'always:3'
          wrong: only on-failure takes a number of times
          right: one like "on-failure:5"
        """,
    ),
    (
        "stop_signal: SIGTREM",
        """
        a.yaml:3: stop_signal = 'SIGTREM'
          wrong: there is no such OS signal
          right: SIGTERM, SIGINT or SIGQUIT, for example; did you mean 'SIGTERM' or 'SIGVTALRM' or 'SIGTRAP'?
        """,
    ),
    (
        "success_exit_codes: [0, 256]",
        """
        a.yaml:3: success_exit_codes[1] = '256'
          wrong: it is no such number
          right: an exit code from 0 to 255
        """,
    ),
    (
        "success_exit_codes: 143",
        """
        a.yaml:3: success_exit_codes = '143'
          wrong: it is no list
          right: a list: lines that begin with `- `, or [ ... ]
        """,
    ),
    (
        "observability: [a]",
        """
        a.yaml:3: observability = '[a]'
          wrong: it is no mapping
          right: keys below it: metrics_port, log_level, log
        """,
    ),
    (
        "observability: {metrics_port: unix:a}",
        """
        a.yaml:3: observability.metrics_port = 'unix:a'
          wrong: it is no TCP address
          right: "0.0.0.0:9091", ":9091", 9091 or off
        """,
    ),
    (
        "observability: {metrics_port: 8080}",
        """
        a.yaml:3: observability.metrics_port = '8080'
          wrong: another socket has that port
          right: a port of its own
        """,
    ),
    (
        "control: {listen: 9000}",
        """
        a.yaml:3: control.token
          wrong: it is missing
          right: `token:` with a secret that clients show, like ${AETERNA_TOKEN}
        """,
    ),
    (
        "orchestration: {pre_flight: [{timeout: 1s}, {command: 'a \"b'}]}",
        """
        a.yaml:3: orchestration.pre_flight[0].command
          wrong: it is missing
          right: `command:` with the program and its arguments, as a list, or a text that is split as in a shell
        a.yaml:3: orchestration.pre_flight[1].command = 'a "b'
          wrong: it cannot be split into words: no closing quotation
          right: a list like ["python", "main.py"], or a text like "python main.py"
        """,
    ),
    (
        "healthcheck: {interval: 1s}",
        """
        a.yaml:3: healthcheck = '{interval: 1s}'
          wrong: it does not say how to ask
          right: exactly one of http_get, tcp, exec or test
        """,
    ),
    (
        "healthcheck: {http_get: /a, tcp: true}",
        """
        a.yaml:3: healthcheck = '{http_get: /a, tcp: true}'
          wrong: http_get and tcp are given
          right: exactly one of http_get, tcp, exec or test
        """,
    ),
    (
        "healthcheck: {http_get: 'https://a/b'}",
        """
        a.yaml:3: healthcheck.http_get = 'https://a/b'
          wrong: probes speak plain HTTP
          right: a path like "/health", or "http://127.0.0.1:8080/health"
        """,
    ),
    (
        "healthcheck: {http_get: health}",
        """
        a.yaml:3: healthcheck.http_get = 'health'
          wrong: it is no address of a page
          right: a path like "/health", or "http://127.0.0.1:8080/health"
        """,
    ),
    (
        "healthcheck: {tcp: here}",
        """
        a.yaml:3: healthcheck.tcp = 'here'
          wrong: it is no address to connect to
          right: "127.0.0.1:8080", 8080, or true for the first TCP socket
        """,
    ),
    (
        "healthcheck: {test: [curl, a]}",
        """
        a.yaml:3: healthcheck.test = '[curl, a]'
          wrong: it is no test
          right: ["CMD", "curl", "-f", "http://127.0.0.1/"], ["CMD-SHELL", "..."], a shell command, or ["NONE"]
        """,
    ),
    (
        "orchestration: {startup: {ready: log}}",
        """
        a.yaml:3: orchestration.startup.ready = 'log'
          wrong: there is no log_pattern to wait for
          right: `log_pattern:` beside it
        """,
    ),
    (
        "orchestration: {startup: {ready: probe}}",
        """
        a.yaml:3: orchestration.startup.ready = 'probe'
          wrong: there is no probe to ask
          right: `healthcheck:`, or another word here
        """,
    ),
    (
        "orchestration: {startup: {ready: log, log_pattern: '('}}",
        """
        a.yaml:3: orchestration.startup.log_pattern = '('
          wrong: it is no regular expression: missing ), unterminated subpattern at position 0
          right: one that Python's re module reads
        """,
    ),
    (
        "orchestration: {startup: {warmup_delay: 6m}}",
        """
        a.yaml:3: orchestration.startup.warmup_delay = '6m'
          wrong: it is longer than startup.timeout
          right: a longer timeout beside it
        """,
    ),
    (
        "restart_policy: {delay: 1m}",
        """
        a.yaml:3: restart_policy.delay = '1m'
          wrong: it is longer than max_delay
          right: a delay that is at most max_delay
        """,
    ),
    (
        "orchestration:\n  state_handoff: {enabled: true}\n  canary: {weights: [5, 100]}",
        """
        a.yaml:5: orchestration.canary.weights = '[5, 100]'
          wrong: with exclusive state one generation serves at a time, so its share is 0 or 100
          right: no weights, or `state_handoff.mode: shared` if the state is only a cache
        """,
    ),
    (
        "orchestration: {overlap: stop-first, canary: {steps: [5, 100]}}",
        """
        a.yaml:3: orchestration.canary.steps = '[5, 100]'
          wrong: with overlap stop-first there is only one generation to send to
          right: no weights, or `sockets:` that the supervisor holds, so that both can run
        """,
    ),
    (
        "orchestration: {state_handoff: {enabled: true, mode: none}}",
        """
        a.yaml:3: orchestration.state_handoff.mode = 'none'
          wrong: `enabled: true` beside it says otherwise
          right: exclusive or shared
        """,
    ),
    (
        "orchestration: {state_handoff: {enabled: true, socket_path: a.sock}}",
        """
        a.yaml:3: orchestration.state_handoff.socket_path = 'a.sock'
          wrong: a service listens on that path
          right: another path, or none
        """,
    ),
    (
        "services: {b: {command: c}}",
        """
        a.yaml:1: service
          wrong: `services:` is there too
          right: all of them below `services:`
        a.yaml:2: sockets
          wrong: with `services:` it stands inside each service
          right: services.NAME.sockets
        """,
    ),
]
WHOLE: list[tuple[str, str]] = [
    (
        "version: v1",
        """
        a.yaml:1
          wrong: there is no service
          right: `service:` with a name and a command, or `services:`
        """,
    ),
    (
        "services: {}",
        """
        a.yaml:1: services = '{}'
          wrong: it has no service
          right: a name with a command below it
        """,
    ),
    (
        "service: {}",
        """
        a.yaml:1: service.name
          wrong: it is missing
          right: `name:` with what the service is called
        a.yaml:1: service.command
          wrong: it is missing
          right: `command:` with a list like ["python", "main.py"], or a text
        """,
    ),
    (
        "services: {a: }",
        """
        a.yaml:1: services.a
          wrong: it has no value
          right: keys below it: name, command, binary_path, env, environment, cwd, working_dir, user, group, \
sockets, orchestration, restart, restart_policy, healthcheck, limits, mem_limit, cpus, watchdog, stop_signal, \
stop_grace_period, success_exit_codes, permanent_exit_codes, depends_on, profiles, develop
        """,
    ),
    (
        "service: {name: a b, command: []}",
        """
        a.yaml:1: service.command = '[]'
          wrong: it names no program
          right: a list like ["python", "main.py"], or a text like "python main.py"
        """,
    ),
    (
        "service: {name: a b, command: [c]}",
        """
        a.yaml:1: service.name = 'a b'
          wrong: 'a b' is no name of a service
          right: 1 to 40 letters, digits, `.`, `_` or `-`, the first a letter or digit
        """,
    ),
    (
        "services: {a: {command: [c], name: b, sockets: {}}}",
        """
        a.yaml:1: services.a.name = 'b'
          wrong: the service stands below the name 'a'
          right: that name, or no `name:`
        """,
    ),
    (
        "services:\n- {name: a, command: b, sockets: {}}\n- {name: a, command: b}\n- {command: c}",
        """
        a.yaml:3: services[1].name = 'a'
          wrong: two services have that name, the other in line 2
          right: another name
        a.yaml:4: services[2].name
          wrong: it is missing
          right: `name:` with what the service is called
        """,
    ),
    (
        "service:\n  name: a\n  command: b\n  env:\n  - A=1\n  - A=2\n  - =3\n  - [C]\nsockets: {}",
        """
        a.yaml:6: service.env[1] = 'A=2'
          wrong: the variable stands twice, first in line 5
          right: one of them
        a.yaml:7: service.env[2] = '=3'
          wrong: '' is no name of a variable
          right: NAME=VALUE
        a.yaml:8: service.env[3] = '[C]'
          wrong: it is no variable
          right: "NAME=VALUE"
        """,
    ),
    (
        "service: {name: a, command: b, restart: no}\nrestart: always\nsockets: {}",
        """
        a.yaml:2: restart
          wrong: it stands inside `service:` too, in line 1
          right: one of the two
        """,
    ),
    (
        "service: {name: a, command: b, user: '1:2', group: 3}\nsockets: {}",
        """
        a.yaml:1: service.user = '1:2'
          wrong: service.group in line 1 means the same and says otherwise
          right: one of the two, best service.group
        """,
    ),
    (
        "service: {name: a, command: '{fd:http}'}\nsockets: {}",
        """
        a.yaml:1: service.command = '{fd:http}'
          wrong: {fd:http}: the service has no sockets
          right: `sockets:` with that name below it
        """,
    ),
    (
        "service: {name: a, command: b}\nsockets:\n\n\n\n  d: example.com:1\n  e: {mode: 9}",
        """
        a.yaml:6: sockets.d.listen = 'example.com:1'
          wrong: 'example.com' is no IP address
          right: one of this machine's own, or 0.0.0.0 for all
        a.yaml:7: sockets.e.mode = '9'
          wrong: it is no file mode
          right: three octal digits, like "0660"
        a.yaml:7: sockets.e.listen
          wrong: it is missing
          right: `listen:` with where to listen: `"HOST:PORT"`, `"[::]:PORT"`, `":PORT"` or a port alone (all \
addresses of IPv4), `"unix:PATH"`; port 0 takes one that is free
        """,
    ),
    (
        "service: {name: a, command: b}\nsockets:\n  a: 80\n  b: '0.0.0.0:80'\n  c:c: 81",
        """
        a.yaml:4: sockets.b.listen = '0.0.0.0:80'
          wrong: sockets.a.listen in line 3 has that address
          right: another address
        a.yaml:5: sockets.c:c = '81'
          wrong: it is no name of a socket
          right: 1 to 40 letters, digits, `.`, `_` or `-`, the first a letter or digit
        """,
    ),
    (
        "service: {name: a, command: b}\nhealthcheck: {http_get: /a}\nsockets: {u: 'unix:a'}",
        """
        a.yaml:2: healthcheck.http_get = '/a'
          wrong: the service has no TCP socket to ask
          right: an address with host and port, or `sockets:` with a TCP socket
        """,
    ),
]


def expected(text: str) -> str:
    return "\n".join(line.removeprefix("        ") for line in text.strip("\n ").splitlines()).strip()


@pytest.mark.parametrize(("text", "message"), BELOW_HEAD, ids=[text for text, _ in BELOW_HEAD])
def test_a_mistake_is_refused_with_what_would_be_right(text: str, message: str, place: Place) -> None:
    assert place.refusal(HEAD + text) == expected(message)


@pytest.mark.parametrize(("text", "message"), WHOLE, ids=[text for text, _ in WHOLE])
def test_a_mistake_of_the_whole_is_refused_with_what_would_be_right(text: str, message: str, place: Place) -> None:
    assert place.refusal(text) == expected(message)


@pytest.mark.parametrize(
    ("placeholder", "wrong", "right"),
    [
        ("{fd:htp}", "there is no such socket", "one of http, u; did you mean 'http'?"),
        ("--bind=fd://{fd:x}", "there is no such socket", "one of http, u"),
        ("{path:http}", "a socket of family tcp4 has no path", "{port:http} or {fd:http}"),
        ("{port:u}", "a socket of family unix has no port", "{path:u} or {fd:u}"),
        ("{ports:http}", "there is no such placeholder", "fd, port, host or path; did you mean 'port'?"),
    ],
)
def test_a_placeholder_names_a_socket_that_has_what_it_asks_for(
    placeholder: str, wrong: str, right: str, place: Place
) -> None:
    text = f"service:\n  name: a\n  command: [b, '{placeholder}']\nsockets: {{http: 1, u: 'unix:u'}}"
    inner = placeholder[placeholder.index("{") :]
    assert place.refusal(text) == (
        f"a.yaml:3: service.command = '[b, {placeholder}]'\n  wrong: {inner}: {wrong}\n  right: {right}"
    )


@pytest.mark.parametrize("word", ["{any:thing}", "{fd}", '{"a":1}', "{fd:http}:{port:http}{host:http}", "{path:u}"])
def test_other_braces_are_the_programs_own(word: str, place: Place) -> None:
    service = place.service(f"service:\n  name: a\n  command: [b, '{word}']\nsockets: {{http: 1, u: 'unix:u'}}")
    assert service.command == ("b", word)


def test_a_secret_is_not_shown_in_a_message(place: Place) -> None:
    text = "service: {name: a, command: b, env: {A: x}, environment: {DB_PASSWORD: hush, URL: 'http://u:hush@h'}}"
    message = place.refusal(f"{text}\nsockets: {{}}")
    assert "'{DB_PASSWORD: ********, URL: http://u:********@h}'" in message
    assert "token = '********'" in place.refusal(f"{text}\ncontrol: {{listen: 1, token: [hush]}}")


def test_a_long_value_is_cut(place: Place) -> None:
    message = place.refusal(f"{HEAD}restart: {'x' * 500}")
    assert max(map(len, message.splitlines())) < 130


def test_a_socket_path_that_is_too_long_is_refused_before_it_is_bound(place: Place) -> None:
    message = place.refusal(f"service: {{name: a, command: b}}\nsockets: {{u: 'unix:/{'x' * 107}'}}")
    assert "wrong: a Unix socket cannot have a path of 108 bytes" in message
