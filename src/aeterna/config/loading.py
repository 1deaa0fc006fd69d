"""From a file to a plan: the one way in.

All mistakes in keys and values are reported together, and then those in what they mean together, since the latter can
only be told where the former are right. What comes out is plain records (`spec`), which the daemon reads without
any of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from aeterna.config.building import plan_of
from aeterna.config.findings import Findings
from aeterna.config.layers import read_layers
from aeterna.config.schema import Document
from aeterna.config.shapes import Reading, read_section
from aeterna.config.spec import Plan


class Loaded(NamedTuple):
    """A plan, and the configuration as it was written, with the place of every value in ``findings.root``."""

    plan: Plan
    findings: Findings


def load(path: Path, environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Plan:
    """The plan of a configuration; raises `ConfigurationError` whose message has a block per mistake.

    ``environ``: variables to put in, and those that begin with ``AETERNA__``; ``overrides``: texts like
    ``orchestration.drain.timeout=10s``, which win over everything else.
    """
    return load_with_origins(path, environ, overrides).plan


def load_with_origins(path: Path, environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Loaded:
    """As `load`, with the origins of the values."""
    findings = read_layers(path, environ, overrides)
    document = read_section(Document, findings.root, (), Reading(findings, Document))
    findings.finish()
    return Loaded(plan_of(document, path.absolute(), findings), findings)
