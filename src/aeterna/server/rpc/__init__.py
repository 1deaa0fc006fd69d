"""gRPC: one file per service."""
