"""TLS and mutual TLS with certificates of an authority made for the test, and what is refused beyond this machine."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from aeterna import App
from aeterna.durable.sdk.settings import Server
from aeterna.durable.stores.memory import MemoryNamespaces
from aeterna.kernel.errors import AeternaError, ConfigurationError
from aeterna.server.exposure import check_exposure, is_loopback
from aeterna.server.options import ServeOptions
from aeterna.server.serving import serving
from aeterna.server.settings import settle
from aeterna.server.tls import Tls, TlsFiles, tls_files

ADMIN = "an-admin-token-that-nobody-could-guess"


class Papers:
    """The files of an authority, a server and a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.ca = str(folder / "ca.pem")
        self.server = self.issue("server", "127.0.0.1", "localhost")
        self.client = self.issue("client", "worker.example")

    def issue(self, name: str, *identities: str, authority: trustme.CA | None = None) -> tuple[str, str]:
        leaf = (authority or self.authority).issue_cert(*identities)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        leaf.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return str(certificate), str(key)

    def options(self, client_ca: str | None = None, **more) -> ServeOptions:
        return ServeOptions(grpc_port=0, http_port=0, tls=TlsFiles(*self.server, client_ca), **more)

    def http(self, address: str, certificate: tuple[str, str] | None = None) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=self.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return httpx.AsyncClient(base_url=f"https://{address}", verify=context, timeout=20)


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def program(server: Server) -> App:
    app = App("orders", server=server)

    @app.workflow
    async def seven(ctx) -> int:
        return 7

    return app


async def execute(server: Server) -> int:
    app = program(server)
    async with app:
        [seven] = app.workflows
        return await seven.start_and_wait()


async def test_programs_and_http_go_through_tls(papers):
    async with serving(MemoryNamespaces(), papers.options()) as addresses:
        assert await execute(Server(addresses.grpc, ca=papers.ca)) == 7
        async with papers.http(addresses.http) as http:
            runs = (await http.get("/api/workflows", params={"namespace": "orders"})).json()["runs"]
            assert [run["state"] for run in runs] == ["COMPLETED"]
        with pytest.raises(httpx.ConnectError):
            await httpx.AsyncClient().get(f"https://{addresses.http}/health")
        with pytest.raises(httpx.RemoteProtocolError):
            await httpx.AsyncClient().get(f"http://{addresses.http}/health")


async def test_with_a_client_authority_only_its_certificates_get_in(papers):
    stranger = papers.issue("stranger", "worker.example", authority=trustme.CA())
    options = papers.options(papers.ca, admin_token=ADMIN)
    async with serving(MemoryNamespaces(), options) as addresses:
        known = Server(addresses.grpc, ADMIN, ca=papers.ca, certificate=papers.client[0], key=papers.client[1])
        assert await execute(known) == 7
        headers = {"Authorization": f"Bearer {ADMIN}"}
        async with papers.http(addresses.http, papers.client) as http:
            assert (await http.get("/api/namespaces", headers=headers)).status_code == 200
            # The certificate comes on top of the token, and does not replace it.
            assert (await http.get("/api/namespaces")).status_code == 401
        for certificate in (None, stranger):
            with pytest.raises(httpx.TransportError):
                async with papers.http(addresses.http, certificate) as http:
                    await http.get("/api/namespaces", headers=headers)
        unknown = Server(addresses.grpc, ADMIN, ca=papers.ca, certificate=stranger[0], key=stranger[1])
        with pytest.raises(AeternaError):
            await execute(unknown)


async def test_a_renewed_certificate_is_taken_up_without_a_restart(papers):
    tls = Tls(TlsFiles(*papers.server))
    assert not tls.renew()
    before = tls.grpc_credentials()
    papers.issue("server", "127.0.0.1", "renewed.example")
    assert tls.renew()
    assert not tls.renew()
    Path(papers.server[1]).write_text("half a fi")
    assert not tls.renew()
    assert before is not None


def test_files_that_cannot_be_used_are_named(papers, tmp_path):
    with pytest.raises(ConfigurationError, match="both --tls-cert and --tls-key"):
        tls_files(papers.server[0], None, None)
    with pytest.raises(ConfigurationError, match="No such file"):
        tls_files(str(tmp_path / "none.pem"), papers.server[1], None)
    with pytest.raises(ConfigurationError, match="no PEM of a certificate with its key"):
        tls_files(papers.server[0], papers.client[1], None)
    assert tls_files(None, None, None) is None


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        *[(host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")],
        *[(host, False) for host in ("0.0.0.0", "::", "10.1.2.3", "", "no-such-host.invalid")],
    ],
)
def test_what_only_this_machine_can_reach(host, answer):
    assert is_loopback(host) is answer


@pytest.mark.parametrize(("has_tls", "has_token"), [(False, False), (True, False), (False, True)])
def test_a_server_for_others_needs_tls_and_a_token(has_tls, has_token):
    with pytest.raises(ConfigurationError) as refused:
        check_exposure("0.0.0.0", has_tls=has_tls, has_token=has_token)
    assert ("--tls-cert" in str(refused.value)) is not has_tls
    assert ("aeterna token create" in str(refused.value)) is not has_token
    check_exposure("127.0.0.1", has_tls=has_tls, has_token=has_token)
    check_exposure("0.0.0.0", has_tls=True, has_token=True)


async def test_a_server_that_others_could_reach_unprotected_does_not_start(papers):
    for options in (ServeOptions(host="0.0.0.0", grpc_port=0), papers.options(host="0.0.0.0")):
        with pytest.raises(ConfigurationError, match="can be reached from other machines"):
            async with serving(MemoryNamespaces(), options):
                pass
    async with serving(MemoryNamespaces(), papers.options(host="0.0.0.0", admin_token=ADMIN)) as addresses:
        assert addresses.grpc.startswith("0.0.0.0:")


def test_the_options_of_the_command_line_reach_the_server(papers, tmp_path):
    (tmp_path / "token").write_text(f"{ADMIN}\n")
    certificate, key = papers.server
    given = {"tls_cert": certificate, "tls_key": key, "admin_token_file": str(tmp_path / "token"), "db": "memory:"}
    options = settle(given).options
    assert (options.tls, options.admin_token) == (TlsFiles(certificate, key), ADMIN)
    config = tmp_path / "server.toml"
    config.write_text(f'[security]\ntls_cert = "{certificate}"\ntls_key = "{key}"\ntls_client_ca = "{papers.ca}"\n')
    assert settle({"config": str(config)}).options.tls == TlsFiles(certificate, key, papers.ca)
