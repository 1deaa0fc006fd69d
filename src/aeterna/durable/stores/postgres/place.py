"""Where a PostgreSQL store is, as its URL says, and what that server can do."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from aeterna.durable.stores.postgres.statements import SCHEMA
from aeterna.kernel.errors import ConfigurationError

_OURS = {"schema", "pool", "profile"}
_SCHEMA_CHARS_MAX = 63
_DEFAULT_PORT = 5432


@dataclass(frozen=True, slots=True)
class Place:
    """A database and how to deal with it.

    ``dsn``: what the driver connects to. ``schema``: where in the database the tables are. ``is_pooled``: a pooler
    stands between that hands out a connection for one transaction only, so that nothing may be kept in a session: no
    prepared statement, no setting, no LISTEN. ``is_distributed``: no PostgreSQL of its own but a cluster that speaks
    its language: no LISTEN, no advisory locks, no partitions, and any transaction may fail with 40001."""

    dsn: str
    server: str
    database: str
    schema: str
    is_pooled: bool
    is_distributed: bool

    @property
    def description(self) -> str:
        """For messages; without the password."""
        schema = "" if self.schema == SCHEMA else f", schema {self.schema}"
        return f"postgresql at {self.server}, database {self.database}{schema}"

    @property
    def can_listen(self) -> bool:
        """Processes can tell each other what happened."""
        return not (self.is_pooled or self.is_distributed)


def parse_place(url: str) -> Place:
    """The place of ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``.

    Parameters of ours: ``schema=NAME`` (aeterna), ``pool=transaction`` (a pooler such as pgbouncer is between),
    ``profile=distributed`` (a PostgreSQL-compatible cluster). All others are the driver's (``sslmode``, ``host``, ...).
    Raises `ConfigurationError` for what contradicts that."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{_hidden(url)} is no URL: {error}") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{_hidden(url)} does not start with postgresql://")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    rest = urlencode({name: value for name, value in given.items() if name not in _OURS}, quote_via=quote)
    return Place(
        dsn=parts._replace(query=rest).geturl(),
        server=_server(host, port, given),
        database=parts.path.lstrip("/") or given.get("dbname") or given.get("database") or parts.username or "?",
        schema=_schema(given),
        is_pooled=_one_of(given, "pool", "session", "transaction"),
        is_distributed=_one_of(given, "profile", "standard", "distributed"),
    )


def _schema(given: dict[str, str]) -> str:
    schema = given.get("schema", SCHEMA)
    if not schema or len(schema.encode(errors="replace")) > _SCHEMA_CHARS_MAX or "\0" in schema:
        raise ConfigurationError(f"schema={schema!r}: a schema's name has 1 to {_SCHEMA_CHARS_MAX} bytes")
    return schema


def _server(host: str | None, port: int | None, given: dict[str, str]) -> str:
    host = host or given.get("host") or "localhost"
    # A list of hosts, of which the driver takes the first that answers, and a directory have no port of their own.
    return host if "," in host or host.startswith("/") else f"{host}:{port or given.get('port') or _DEFAULT_PORT}"


def _one_of(given: dict[str, str], name: str, usual: str, special: str) -> bool:
    value = given.get(name, usual)
    if value not in (usual, special):
        raise ConfigurationError(f"{name}={value}: it is either {usual} (as it is without it) or {special}")
    return value == special


def _hidden(url: str) -> str:
    """The URL without its password, as far as it can be told."""
    head, at, tail = url.rpartition("@")
    if not at:
        return repr(url)
    scheme, slashes, who = head.partition("://")
    return repr(f"{scheme}{slashes}{who.split(':')[0]}@{tail}")
