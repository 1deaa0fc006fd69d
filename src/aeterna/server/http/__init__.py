"""HTTP: the same operations as REST under ``/api``, with an OpenAPI page, problems as JSON, and a stream of changes."""
