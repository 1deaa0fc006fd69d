"""For tests, ours and yours: time that jumps, stores that fail when told to, processes that die on purpose.

Nothing in the package imports this; it may use everything below it.
"""

from __future__ import annotations

from aeterna.testing.clock import FakeClock
from aeterna.testing.environment import Environment
from aeterna.testing.faults import FaultyStore, SimulatedCrash, StoreCall
from aeterna.testing.virtual_loop import StalledError, VirtualLoop

__all__ = ["Environment", "FakeClock", "FaultyStore", "SimulatedCrash", "StalledError", "StoreCall", "VirtualLoop"]
