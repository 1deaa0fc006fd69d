-- Everything the database holds, from beginning to end.

-- name: ledger_count
-- 1 to 4 as for $chosen
SELECT count(*) FROM aeterna.runs AS run
WHERE $chosen;

-- name: ledger_entries
-- 1 to 4 as for $chosen
SELECT coalesce(namespaces.name, '') AS namespace, run.key, run.id, run.workflow, run.version, run.state, run.detail,
       run.created_us, run.updated_us, run.finished_us, run.wake_us, run.parent, run.note, run.epoch, run.queue,
       run.priority, run.share, run.requires, run.crashes, run.messages AS posted, run.length,
       events.seq, events.events, events.body
FROM aeterna.runs AS run
LEFT JOIN aeterna.namespaces ON namespaces.key = run.namespace
LEFT JOIN aeterna.events ON events.day = run.day AND events.run = run.key
WHERE $chosen
ORDER BY run.key, events.seq;

-- name: ledger_messages
SELECT namespaces.name, run.id, inbox.number, inbox.payload
FROM aeterna.inbox
JOIN aeterna.runs AS run ON run.key = inbox.run
JOIN aeterna.namespaces ON namespaces.key = run.namespace
WHERE inbox.payload IS NOT NULL ORDER BY inbox.run, inbox.number;

-- name: lost_runs
SELECT '', id, namespace FROM aeterna.runs WHERE namespace NOT IN (SELECT key FROM aeterna.namespaces) ORDER BY key;

-- name: lost_owners
SELECT coalesce(namespaces.name, ''), run.id, run.owner
FROM aeterna.runs AS run LEFT JOIN aeterna.namespaces ON namespaces.key = run.namespace
WHERE run.owner IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM aeterna.sessions WHERE number = run.owner AND closed_us IS NULL)
ORDER BY run.key;

-- name: lost_messages
SELECT run, number FROM aeterna.inbox
WHERE NOT EXISTS (SELECT 1 FROM aeterna.runs WHERE key = inbox.run) ORDER BY run, number;

-- name: miscounted_messages
-- Runs whose row says another number of unread signals and orders than their inbox holds.
SELECT coalesce(namespaces.name, ''), run.id, run.signals, run.orders, found.signals, found.orders
FROM aeterna.runs AS run
LEFT JOIN aeterna.namespaces ON namespaces.key = run.namespace
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE kind = 'signal') AS signals, count(*) FILTER (WHERE kind <> 'signal') AS orders
    FROM aeterna.inbox WHERE inbox.run = run.key AND payload IS NOT NULL) AS found
WHERE run.finished_us IS NULL AND (run.signals <> found.signals OR run.orders <> found.orders)
ORDER BY run.key;

-- name: lost_sessions
SELECT number, namespace FROM aeterna.sessions
WHERE namespace NOT IN (SELECT key FROM aeterna.namespaces) ORDER BY number;

-- name: lost_shares
SELECT namespace, queue, share FROM aeterna.shares
WHERE namespace NOT IN (SELECT key FROM aeterna.namespaces) ORDER BY namespace, queue, share;

-- name: our_tables
-- 1 schema. Partitions of the events included.
SELECT relname, pg_total_relation_size(pg_class.oid) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = $1 AND relkind = 'r'
  AND (relname = ANY (ARRAY['namespaces', 'sessions', 'runs', 'inbox', 'queues', 'shares', 'schedules', 'tokens'])
       OR pg_class.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($2)))
ORDER BY relname;
