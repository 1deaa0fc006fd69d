"""Whatever is sent to the HTTP API, it answers as its schema says, and never with an error of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.processes import Server, free_ports

EXAMPLES = "500" if os.environ.get("AETERNA_CHAOS") else "12"

pytestmark = pytest.mark.timeout(0 if os.environ.get("AETERNA_CHAOS") else 240)


def test_no_request_makes_the_server_fail(tmp_path: Path) -> None:
    """Requests made from the schema and against it; streams that stay open are left out."""
    http_port, grpc_port = free_ports(2)
    server = Server("memory:", "127.0.0.1", grpc_port, tmp_path / "log", "--http-port", str(http_port))
    try:
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "schemathesis"), "run", f"http://127.0.0.1:{http_port}/openapi.json",
                "--checks", "not_a_server_error", "--max-examples", EXAMPLES, "--exclude-path-regex", "changes|result$",
                "--request-timeout", "30", "--no-color", "--seed", "1",
            ],
            cwd=tmp_path, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}\n{server.words()}"
        assert server.lives
        assert "Traceback" not in server.words()
    finally:
        server.kill()
