# ruff: noqa: PTH109, PTH113, PTH118, PTH120 - quick: no pathlib
"""Which supervisor a command is about: the configuration named by ``-c``, else the nearest one here or above.

A supervisor has one directory, whose name follows from its configuration's path (`config.places`).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from aeterna.config.places import instance_directory
from aeterna.kernel.errors import ConfigurationError

NAMES = ("aeterna.yaml", "aeterna.yml", "aeterna.toml", "aeterna.json")


class Instance(NamedTuple):
    """A configuration and the directory of the supervisor that runs it, or would. All paths are text."""

    config: str
    directory: str

    @property
    def control_socket(self) -> str:
        """Where its control API listens."""
        return f"{self.directory}/control.sock"

    @property
    def lock(self) -> str:
        """The file that is locked while it lives."""
        return f"{self.directory}/lock"

    @property
    def pid_file(self) -> str:
        """Where the keeper writes its pid."""
        return f"{self.directory}/keeper.pid"

    @property
    def plan(self) -> str:
        """The checked configuration, for the daemon."""
        return f"{self.directory}/plan.json"

    @property
    def output(self) -> str:
        """What a supervisor in the background prints."""
        return f"{self.directory}/output.log"


def find_instance(given: str | None) -> Instance:
    """The instance; raises `ConfigurationError` if there is no configuration. A named one need not exist."""
    config = _nearest() if given is None else given
    return Instance(config, instance_directory(config, os.environ, os.getuid()))


def existing_instance(given: str | None) -> Instance:
    """As `find_instance`, and the configuration exists."""
    instance = find_instance(given)
    if not os.path.isfile(instance.config):
        raise ConfigurationError(f"there is no configuration at {instance.config}: check the path given with -c")
    return instance


def _nearest() -> str:
    here = directory = os.getcwd()
    while True:
        for name in NAMES:
            if os.path.isfile(os.path.join(directory, name)):
                # As short as it can be said, since messages repeat it.
                return name if directory == here else os.path.join(directory, name)
        above = os.path.dirname(directory)
        if above == directory:
            break
        directory = above
    raise ConfigurationError(
        f"there is no {NAMES[0]} (or .yml, .toml, .json) in {here} or above: name the configuration with -c FILE"
    )
