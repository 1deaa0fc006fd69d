-- What is read of runs, and by whom it may be. $run stands for the columns of a run as `rows.run_row` takes them.

-- name: namespace_key
-- 1 name
SELECT key FROM aeterna.namespaces WHERE name = $1;

-- name: name_namespace
-- 1 name
INSERT INTO aeterna.namespaces (name) VALUES ($1) ON CONFLICT (name) DO NOTHING;

-- name: namespaces
SELECT name FROM aeterna.namespaces ORDER BY name;

-- name: runs_by_id
-- 1 namespace, 2 ids
SELECT $run FROM aeterna.runs AS run WHERE run.namespace = $1 AND run.id = ANY ($2::text[]);

-- name: history
-- 1 namespace, 2 id, 3 start. From the segment that holds event number start; one row without a segment if the run has
-- none from there on.
SELECT run.length, events.seq, events.events, events.body
FROM aeterna.runs AS run
LEFT JOIN aeterna.events ON events.day = run.day AND events.run = run.key AND events.seq + events.events > $3
WHERE run.namespace = $1 AND run.id = $2
ORDER BY events.seq;

-- name: list_runs
-- 1 namespace, 2 before, 3 workflow, 4 states, 5 limit; NULL matches all. Newest first.
SELECT $run FROM aeterna.runs AS run
WHERE run.key < $2 AND run.namespace = $1
  AND ($3::text IS NULL OR run.workflow = $3)
  AND ($4::text[] IS NULL OR run.state = ANY ($4))
ORDER BY run.key DESC LIMIT $5;

-- name: count_runs
-- 1 namespace
SELECT state, count(*) FROM aeterna.runs WHERE namespace = $1 GROUP BY state;

-- name: next_wake
-- 1 namespace, 2 never
SELECT wake_us FROM aeterna.runs
WHERE namespace = $1 AND owner IS NULL AND finished_us IS NULL AND wake_us IS NOT NULL AND wake_us < $2
ORDER BY wake_us LIMIT 1;

-- name: inbox
-- 1 namespace, 2 id
SELECT inbox.number, inbox.id, inbox.kind, inbox.name, inbox.payload, inbox.at_us
FROM aeterna.runs AS run JOIN aeterna.inbox ON inbox.run = run.key
WHERE run.namespace = $1 AND run.id = $2 AND inbox.payload IS NOT NULL
ORDER BY inbox.number;

-- name: unread
-- 1 session
SELECT id FROM aeterna.runs
WHERE owner = $1 AND owner IS NOT NULL AND signals + orders > 0 AND finished_us IS NULL ORDER BY key;

-- name: poisoned
-- 1 namespace, 2 crash limit, 3 limit
SELECT $run FROM aeterna.runs AS run
WHERE run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL AND run.crashes > 0 AND run.crashes >= $2
  AND run.detail <> 'stuck' ORDER BY run.key LIMIT $3;
