"""The measured systems, by name."""

from __future__ import annotations

from bench.supervisor.peers.aeterna import (
    Aeterna,
    AeternaGunicorn,
    AeternaHypercorn,
    AeternaNode,
    AeternaUvicorn,
    AeternaWatched,
)
from bench.supervisor.peers.bare import Bare
from bench.supervisor.peers.circus import Circus
from bench.supervisor.peers.granian import Granian
from bench.supervisor.peers.gunicorn import Gunicorn, GunicornThreads, GunicornUvicorn
from bench.supervisor.peers.hypercorn import Hypercorn
from bench.supervisor.peers.peer import Peer
from bench.supervisor.peers.pm2 import Pm2, Pm2Cluster
from bench.supervisor.peers.supervisord import Supervisord, SupervisordSocket
from bench.supervisor.peers.uvicorn import Uvicorn

USUAL: tuple[type[Peer], ...] = (
    Aeterna, AeternaUvicorn, AeternaWatched, Supervisord, Circus, Pm2, Pm2Cluster, Gunicorn, GunicornUvicorn, Uvicorn,
    Granian, Hypercorn, Bare,
)  # fmt: skip
"""Measured unless others are chosen."""

ON_REQUEST: tuple[type[Peer], ...] = (
    AeternaHypercorn, AeternaGunicorn, AeternaNode, SupervisordSocket, GunicornThreads,
)  # fmt: skip
"""Variants that are measured when they are named."""

PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (*USUAL, *ON_REQUEST)}
