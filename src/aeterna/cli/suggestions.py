"""The nearest spelling, for what stands on a command line."""

from __future__ import annotations

from aeterna.kernel.suggestions import did_you_mean

__all__ = ["did_you_mean"]
