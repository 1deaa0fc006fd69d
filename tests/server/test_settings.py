"""What a server is told, and what comes of it: its ports, what it keeps and for how long, and how programs name it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from aeterna import App, Context
from aeterna.durable.engine.coordinator.options import CoordinatorOptions
from aeterna.durable.sdk.settings import Server
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.kernel.clock import sleep
from aeterna.kernel.errors import ConfigurationError, RunNotFoundError
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from aeterna.server.settings import settle

DAY_US = 86_400_000_000


def toml(folder: Path, text: str) -> dict[str, str]:
    file = folder / "server.toml"
    file.write_text(text)
    return {"config": str(file)}


def test_retention_and_limits_are_settings(tmp_path: Path) -> None:
    given = toml(tmp_path, '[persistence]\nretention = "30d"\n[limits]\ninbox_messages_max = 5\n')
    options = settle(given).options.coordinator
    assert (options.retention_us, options.limits.inbox_messages_max) == (30 * DAY_US, 5)
    assert settle({**given, "retention": "12h"}).options.coordinator.retention_us == DAY_US // 2
    assert settle({}).options.coordinator.retention_us is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[persistence]\nretention = "a while"\n', "retention 'a while' cannot be"),
        ("[limits]\npayload_bytes_max = 0\n", "payload_bytes_max = 0 is no limit"),
        ("[limits]\npayload_byte_max = 9\n", "did you mean 'payload_bytes_max'"),
        ("[server]\ngrpc_port = 70000\n", "is no port"),
        ("[server]\ngrpc_port = 7000\nhttp_port = 7000\n", "gRPC and HTTP cannot both have port 7000"),
        ("[server]\nhttp_port = 7000\n[metrics]\nport = 7000\n", "HTTP and metrics cannot both have port 7000"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        settle(toml(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "addresses", "is_encrypted"),
    [
        ("host", ("host:7233",), False),
        ("host:9000,[::1]:5", ("host:9000", "[::1]:5"), False),
        ("http://host:7234", ("host:7233",), False),
        ("http://host:7233/", ("host:7233",), False),
        ("https://host:9001,https://other", ("host:9000", "other:7233"), True),
    ],
)
def test_a_program_names_a_server_as_a_command_does(text: str, addresses: tuple[str, ...], is_encrypted: bool) -> None:
    server = Server(text)
    assert (server.addresses, server.is_encrypted) == (addresses, is_encrypted)


@pytest.mark.parametrize("text", ["", "host:", "host:0", "ftp://host", "host/path", "http://"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address"):
        _ = Server(text).addresses


async def test_a_server_listens_on_ipv6_and_is_named_by_its_url() -> None:
    async with serving(MemoryNamespaces(), ServeOptions(host="::1", grpc_port=0, http_port=0)) as addresses:
        assert addresses.grpc.startswith("[::1]:")
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://{addresses.http}/ready")).status_code == 200
        app = App("six", server=addresses.grpc)

        @app.workflow
        async def work(ctx: Context) -> int:
            return 6

        async with app:
            assert await work.start_and_wait() == 6


async def test_a_server_deletes_what_ended_long_ago() -> None:
    kept = CoordinatorOptions(retention_us=1, retention_check_s=0.05)
    async with serving(MemoryNamespaces(), ServeOptions(grpc_port=0, http_port=None, coordinator=kept)) as addresses:
        app = App("brief", server=addresses.grpc)

        @app.workflow
        async def work(ctx: Context) -> None:
            pass

        async with app, asyncio.timeout(30):
            run = await work.start()
            with pytest.raises(RunNotFoundError):
                while await run.status():
                    await sleep(0.02)
