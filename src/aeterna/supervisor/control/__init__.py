"""The local control API: HTTP over a Unix socket, and what it asks of the daemon."""
