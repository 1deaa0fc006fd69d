"""Whatever is sent to the HTTP API, it answers as its schema says, and never with an error of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cluster.processes import Server, free_ports

EXAMPLES = "500" if os.environ.get("AETERNA_CHAOS") else "4"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)

BOUNDED = """\
[parameters]
namespace = "orders"
limit_s = 0.05
timeout_s = 0.05

[[operations]]
include-path = "/api/workflows/{run_id}/result"
parameters = { namespace = "orders", run_id = "waiting", timeout_s = 0.05 }
"""
"""What waits is asked to wait shortly: a stream of changes, and a result that does not come. Requests are about a
namespace that is there; otherwise nearly all would be told that theirs is not."""

pytestmark = pytest.mark.timeout(0 if os.environ.get("AETERNA_CHAOS") else 280)


def test_no_request_makes_the_server_fail(tmp_path: Path) -> None:
    """Requests made from the schema and against it, of every route. Each answer has a status and a body that the
    description names, and comes within the bound."""
    http_port, grpc_port = free_ports(2)
    server = Server("memory:", "127.0.0.1", grpc_port, tmp_path / "log", "--http-port", str(http_port))
    (tmp_path / "schemathesis.toml").write_text(BOUNDED)
    try:
        start = {"workflow": "w", "id": "waiting"}
        base = f"http://127.0.0.1:{http_port}"
        assert httpx.post(f"{base}/api/workflows?namespace=orders", json=start).status_code == 201
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "schemathesis"), "run", f"{base}/openapi.json",
                "--checks", ",".join(CHECKS), "--max-examples", EXAMPLES, "--request-timeout", "30", "--no-color",
                "--seed", "1", "--continue-on-failure",
            ],
            cwd=tmp_path, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}\n{server.words()}"
        assert server.lives
        assert "Traceback" not in server.words()
    finally:
        server.kill()
