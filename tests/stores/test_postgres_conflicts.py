"""A cluster that speaks PostgreSQL: any statement and any commit may fail with 40001, and is done again."""

from __future__ import annotations

import asyncpg

from aeterna.durable.stores.postgres import PostgresStore
from tests.stores.differential import Seen
from tests.stores.postgres_server import PostgresServer
from tests.stores.test_postgres_differential import play_in_namespace

SEEDS = 8
_REFUSE = """
CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF random() < 0.06 THEN
    RAISE EXCEPTION 'restart transaction' USING ERRCODE = (ARRAY['40001', '40001', '40P01'])[1 + floor(random() * 3)];
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON {schema}.runs
  FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
CREATE CONSTRAINT TRIGGER refuse_late AFTER INSERT OR DELETE ON {schema}.events
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
CREATE CONSTRAINT TRIGGER refuse_late AFTER INSERT OR UPDATE ON {schema}.sessions
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.refuse();
"""


async def test_random_serialization_failures_change_no_answer(postgres_server: PostgresServer) -> None:
    """The server itself raises them, in the middle of statements and at the commit."""
    url = f"{postgres_server.url}?schema=conflicts&profile=distributed"
    store = PostgresStore(url)
    await store.open()
    await store.close()
    connection = await asyncpg.connect(postgres_server.url)
    kind = await connection.fetchval("SELECT relkind FROM pg_class WHERE oid = 'conflicts.events'::regclass")
    assert kind == b"r", "not partitioned"
    await connection.execute(_REFUSE.format(schema="conflicts"))
    seen = Seen()
    for seed in range(SEEDS):
        await play_in_namespace(url, 2_000 + seed, seen)
    assert seen.outcomes["Created"] > SEEDS, seen.outcomes
    await connection.execute("DROP SCHEMA conflicts CASCADE")
    await connection.close()
