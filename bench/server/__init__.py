"""Durable runs on a server that workers share, beside DBOS over PostgreSQL and Restate."""

import os

# gRPC's handlers around fork crash children of a process whose calls are under way; ours only ever exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
