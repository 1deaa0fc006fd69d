"""pm2: a program in fork mode is restarted; a Node application in cluster mode is replaced worker by worker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from bench.supervisor.peers.peer import Peer, Program, not_found, uvicorn_command
from bench.supervisor.site import BIN, ROOT, Site

VERSION = "7.0.4"
NPM_FOLDER = BIN.parent / "npm"
NODE_APP = ROOT / "bench" / "supervisor" / "apps" / "node_app.js"


class Pm2(Peer):
    """The same program as under the other supervisors, in fork mode: pm2's reload is then a restart."""

    name = "pm2"
    reload_means = "pm2 reload in fork mode: stop, then start (what it does for anything but Node)"
    supervises = True

    @classmethod
    def missing(cls) -> str | None:
        return not_found("node") or _install()

    def start_web(self) -> None:
        self.start_programs([Program("web", uvicorn_command("--port", str(self.site.port)))])

    def start_programs(self, programs: Sequence[Program]) -> None:
        self._start([{
            "name": program.name, "script": program.argv[0], "args": list(program.argv[1:]), "interpreter": "none",
            "exec_mode": "fork",
        } for program in programs])  # fmt: skip

    def _start(self, apps: list[dict[str, Any]]) -> None:
        config = self.site.write("ecosystem.json", json.dumps({"apps": apps}))
        self._pm2("start", str(config))

    def _pm2(self, *words: str) -> None:
        self.site.run([*_command(self.site), *words])

    def reload(self) -> None:
        self._pm2("reload", "web")

    def stop(self) -> None:
        self._pm2("kill")


class Pm2Cluster(Pm2):
    """The Node application with two workers, which say when they are ready and leave in an orderly way."""

    name = "pm2-cluster"
    reload_means = "pm2 reload in cluster mode (Node application, 2 workers): one worker is replaced after the other"
    supervises = False

    def start_web(self) -> None:
        self._start([{
            "name": "web", "script": str(NODE_APP), "exec_mode": "cluster", "instances": 2, "wait_ready": True,
            "listen_timeout": 5000, "kill_timeout": 5000,
        }])  # fmt: skip


def _command(site: Site) -> list[str]:
    return ["env", f"PM2_HOME={site.folder}/pm2", str(NPM_FOLDER / "node_modules" / ".bin" / "pm2"), "--silent"]


def _install() -> str | None:
    """Put pm2 beside the benchmark's Python packages, once; the reason if that does not work."""
    if (NPM_FOLDER / "node_modules" / "pm2" / "package.json").exists():
        return None
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    NPM_FOLDER.mkdir(parents=True, exist_ok=True)
    words = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(NPM_FOLDER), f"pm2@{VERSION}"]
    try:
        done = subprocess.run(
            words, check=False, cwd=NPM_FOLDER, env=_npm_environment(), capture_output=True, text=True, timeout=180
        )
    except subprocess.TimeoutExpired:
        return "npm install pm2 did not end within 180 s"
    return None if done.returncode == 0 else f"npm install pm2 failed: {done.stderr.strip()[-300:]}"


def _npm_environment() -> dict[str, str]:
    return {**os.environ, "npm_config_cache": str(NPM_FOLDER / "cache"), "npm_config_update_notifier": "false"}
