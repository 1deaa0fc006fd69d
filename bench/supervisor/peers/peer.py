"""What a measured system must be able to do. One file beside this for each."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.supervisor.site import BIN, Site, end, kill

ASGI_APP = "bench.supervisor.apps.asgi_app:app"
WSGI_APP = "bench.supervisor.apps.wsgi_app:app"


@dataclass(frozen=True, slots=True)
class Program:
    """Anything a supervisor may run."""

    name: str
    argv: tuple[str, ...]


def uvicorn_command(*where: str) -> tuple[str, ...]:
    """The web application under one uvicorn process, as every general supervisor runs it."""
    return (str(BIN / "uvicorn"), ASGI_APP, *where, "--log-level", "warning", "--no-access-log")


class Peer(ABC):
    """One system on one site."""

    name: ClassVar[str]
    reload_means: ClassVar[str]
    """What is called a reload here, and how it is asked for."""
    supervises: ClassVar[bool] = False
    """Whether it runs any program, or only the web application it was written for."""
    only: ClassVar[frozenset[str]] = frozenset()
    """The workloads it is for; empty: all that it can do."""

    def __init__(self, site: Site) -> None:
        self.site = site

    @classmethod
    @abstractmethod
    def missing(cls) -> str | None:
        """Why it cannot be measured here; None if it can."""

    @abstractmethod
    def start_web(self) -> None:
        """Start the web application on the site's port; returns at once or when the system's own command does."""

    def start_programs(self, programs: Sequence[Program]) -> None:
        """Start these programs; only systems that supervise."""
        raise NotImplementedError(self.name)

    @abstractmethod
    def reload(self) -> None:
        """Ask for the new release, as its manual says; returns when the system's own command does."""

    @abstractmethod
    def stop(self) -> None:
        """Stop everything, as its manual says, and wait until that has ended."""


class SignalledServer(Peer):
    """A web server with workers of its own, that starts them anew on SIGHUP."""

    _process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Its command line."""

    def start_web(self) -> None:
        self._process = self.site.spawn(self.command())

    def reload(self) -> None:
        assert self._process is not None, "started"
        kill(self._process.pid, signal.SIGHUP)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)


def not_installed(module: str) -> str | None:
    """The reason to print when a Python package is missing."""
    return None if importlib.util.find_spec(module) else f"{module} is not installed (pip install {module})"


def not_found(program: str) -> str | None:
    """The reason to print when a program is missing."""
    return None if shutil.which(program) else f"{program} is not installed"
