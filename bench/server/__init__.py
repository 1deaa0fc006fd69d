"""Durable runs on a server that workers share, beside DBOS over PostgreSQL and Restate."""
