"""A directory of one's own with a configuration in it, and short ways to load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from aeterna.config.loading import load
from aeterna.config.mistakes import MistakesError
from aeterna.config.spec import Plan, ServiceSpec

OLDER = Path(__file__).parent / "older"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory in which configurations are written."""

    directory: Path

    def write(self, text: str, name: str = "aeterna.yaml") -> Path:
        path = self.directory / name
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def plan(
        self, text: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = (), name: str = "a.yaml"
    ) -> Plan:
        return load(self.write(text, name), environ or {}, overrides)

    def service(
        self, text: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = ()
    ) -> ServiceSpec:
        [service] = self.plan(text, environ, overrides).services
        return service

    def refusal(
        self, text: str, environ: Mapping[str, str] | None = None, overrides: Sequence[str] = (), name: str = "a.yaml"
    ) -> str:
        """The message, without the directory; all of it must be in the shape that is promised."""
        with pytest.raises(MistakesError) as caught:
            self.plan(text, environ, overrides, name)
        message = str(caught.value).replace(f"{self.directory}/", "")
        lines = message.split("\n")
        assert len(lines) == 3 * len(caught.value.mistakes)
        for first, second, third in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
            assert not first.startswith(" ")
            assert second.startswith("  wrong: ")
            assert third.startswith("  right: ")
        return message


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
