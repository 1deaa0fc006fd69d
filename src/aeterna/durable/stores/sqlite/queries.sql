-- Every statement of the SQLite store. "-- name: x" starts the statement x; parameters are numbered in the order given.

-- name: name_namespace
-- 1 name
INSERT INTO namespaces (name) VALUES (?1) ON CONFLICT (name) DO NOTHING;

-- name: namespace_key
-- 1 name
SELECT key FROM namespaces WHERE name = ?1;

-- name: last_key
SELECT coalesce(max(key), 0) FROM runs;

-- name: insert_run
-- 1 key, 2 namespace key, 3 id, 4 workflow, 5 version, 6 state, 7 detail, 8 epoch, 9 owner, 10 created,
-- 11 updated, 12 finished, 13 parent. An owner whose session has ended is nobody: owner is always NULL or
-- a live session.
INSERT INTO runs (key, namespace, id, workflow, version, state, detail, epoch,
                  owner, created_us, updated_us, finished_us, parent, note)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
        (SELECT number FROM sessions WHERE number = ?9 AND closed_us IS NULL AND ?12 IS NULL), ?10, ?11, ?12, ?13, '')
ON CONFLICT (namespace, id) DO NOTHING;

-- name: insert_segment
-- 1 run, 2 seq, 3 events, 4 body, 5 epoch. The fence: no row is added unless the epoch is the run's.
INSERT INTO segments (run, seq, events, body)
SELECT ?1, ?2, ?3, ?4 FROM runs WHERE key = ?1 AND epoch = ?5;

-- name: change_head
-- 1 run, 2 epoch, 3 state, 4 detail, 5 wake, 6 note, 7 updated, 8 finished, 9 whether it is given up
UPDATE runs
SET state = ?3, detail = ?4, wake_us = ?5, note = ?6, updated_us = ?7, finished_us = ?8, owner = iif(?9, NULL, owner)
WHERE key = ?1 AND epoch = ?2;

-- name: run_position
-- 1 run. Why an append was refused.
SELECT id, epoch, ifnull((SELECT seq + events FROM segments WHERE run = ?1 ORDER BY seq DESC LIMIT 1), 0)
FROM runs WHERE key = ?1;

-- name: run_by_id
-- 1 name of the namespace or NULL for any, 2 id; the newest if several namespaces have it
SELECT key, id, workflow, version, state, detail, created_us, updated_us,
       ifnull((SELECT seq + events FROM segments WHERE run = runs.key ORDER BY seq DESC LIMIT 1), 0),
       epoch, owner, wake_us, finished_us, parent, note
FROM runs
WHERE namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1) AND id = ?2
ORDER BY key DESC LIMIT 1;

-- name: history
-- 1 name of the namespace or NULL for any, 2 id, 3 start. From the segment that holds event number start.
SELECT seq, events, body FROM segments
WHERE run = (SELECT max(key) FROM runs
             WHERE namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1) AND id = ?2)
  AND seq >= ifnull((SELECT max(earlier.seq) FROM segments AS earlier
                     WHERE earlier.seq <= ?3
                       AND earlier.run = (SELECT max(key) FROM runs
                                          WHERE namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1)
                                            AND id = ?2)), 0)
ORDER BY seq;

-- name: list_runs
-- 1 name of the namespace or NULL for any, 2 before, 3 workflow, 4 states as JSON array, 5 limit; NULL matches all.
-- The unary plus keeps the order of the primary key, so that a page costs no sort.
SELECT key, id, workflow, version, state, detail, created_us, updated_us,
       ifnull((SELECT seq + events FROM segments WHERE run = runs.key ORDER BY seq DESC LIMIT 1), 0),
       epoch, owner, wake_us, finished_us, parent, note
FROM runs
WHERE key < ?2 AND +namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1)
  AND (?3 IS NULL OR workflow = ?3)
  AND (?4 IS NULL OR state IN (SELECT value FROM json_each(?4)))
ORDER BY key DESC LIMIT ?5;

-- name: count_runs
-- 1 name of the namespace or NULL for any
SELECT state, count(*) FROM runs
WHERE +namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1)
GROUP BY state;

-- name: next_wake
-- 1 name of the namespace
SELECT wake_us FROM runs
WHERE namespace = (SELECT key FROM namespaces WHERE name = ?1)
  AND finished_us IS NULL AND owner IS NULL AND wake_us IS NOT NULL
ORDER BY wake_us LIMIT 1;

-- name: close_all_sessions
-- 1 time
UPDATE sessions SET closed_us = ?1 WHERE closed_us IS NULL;

-- name: disown_all
UPDATE runs SET owner = NULL WHERE finished_us IS NULL AND owner IS NOT NULL;

-- name: insert_session
-- 1 host, 2 pid, 3 time
INSERT INTO sessions (host, pid, opened_us) VALUES (?1, ?2, ?3) RETURNING number;

-- name: close_session
-- 1 session, 2 time
UPDATE sessions SET closed_us = ?2 WHERE number = ?1 AND closed_us IS NULL;

-- name: disown
-- 1 session
UPDATE runs SET owner = NULL WHERE finished_us IS NULL AND owner = ?1;

-- name: session_lives
-- 1 session
SELECT 1 FROM sessions WHERE number = ?1 AND closed_us IS NULL;

-- name: claimable
-- 1 namespace key, 2 now, 3 limit. Oldest first; two halves, because each is a range of the index.
SELECT key FROM (
  SELECT key FROM (
    SELECT key FROM runs WHERE namespace = ?1 AND finished_us IS NULL AND owner IS NULL AND wake_us IS NULL
    ORDER BY key LIMIT ?3)
  UNION ALL
  SELECT key FROM (
    SELECT key FROM runs WHERE namespace = ?1 AND finished_us IS NULL AND owner IS NULL AND wake_us <= ?2
    ORDER BY key LIMIT ?3)
) ORDER BY key LIMIT ?3;

-- name: claimable_by_id
-- 1 namespace key, 2 id, 3 session
SELECT key FROM runs WHERE namespace = ?1 AND id = ?2 AND finished_us IS NULL AND (owner IS NULL OR owner = ?3);

-- name: take_run
-- 1 run, 2 session
UPDATE runs SET owner = ?2, epoch = epoch + 1 WHERE key = ?1;

-- name: run_by_key
-- 1 run
SELECT key, id, workflow, version, state, detail, created_us, updated_us,
       ifnull((SELECT seq + events FROM segments WHERE run = runs.key ORDER BY seq DESC LIMIT 1), 0),
       epoch, owner, wake_us, finished_us, parent, note
FROM runs WHERE key = ?1;

-- name: key_by_id
-- 1 namespace key, 2 id
SELECT key FROM runs WHERE namespace = ?1 AND id = ?2;

-- name: deletable
-- 1 namespace key, 2 id. Finished, not needed by an unfinished parent, and no descendant has to stay.
-- CROSS JOIN keeps the order of the tables: from each run found to its children, by their index.
SELECT key FROM runs
WHERE namespace = ?1 AND id = ?2 AND finished_us IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM runs AS above
                  WHERE above.namespace = ?1 AND above.id = runs.parent AND above.finished_us IS NULL)
  AND NOT EXISTS (WITH RECURSIVE below (id, finished_us) AS (
                    SELECT child.id, child.finished_us FROM runs AS child
                    WHERE child.namespace = ?1 AND child.parent = runs.id
                    UNION
                    SELECT child.id, child.finished_us FROM below CROSS JOIN runs AS child
                    WHERE child.namespace = ?1 AND child.parent = below.id)
                  SELECT 1 FROM below WHERE finished_us IS NULL);

-- name: finished_before
-- 1 namespace key, 2 time, 3 limit. Those of deletable whose descendants have finished before that time too, oldest
-- first.
SELECT key FROM runs
WHERE namespace = ?1 AND finished_us IS NOT NULL AND finished_us < ?2
  AND NOT EXISTS (SELECT 1 FROM runs AS above
                  WHERE above.namespace = ?1 AND above.id = runs.parent AND above.finished_us IS NULL)
  AND NOT EXISTS (WITH RECURSIVE below (id, finished_us) AS (
                    SELECT child.id, child.finished_us FROM runs AS child
                    WHERE child.namespace = ?1 AND child.parent = runs.id
                    UNION
                    SELECT child.id, child.finished_us FROM below CROSS JOIN runs AS child
                    WHERE child.namespace = ?1 AND child.parent = below.id)
                  SELECT 1 FROM below WHERE finished_us IS NULL OR finished_us >= ?2)
ORDER BY finished_us, key LIMIT ?3;

-- name: family
-- 1 namespace key, 2 run. The run and all its descendants.
WITH RECURSIVE family (key, id) AS (
  SELECT key, id FROM runs WHERE key = ?2
  UNION
  SELECT child.key, child.id FROM family CROSS JOIN runs AS child
  WHERE child.namespace = ?1 AND child.parent = family.id)
SELECT key FROM family;

-- name: delete_segments
-- 1 run
DELETE FROM segments WHERE run = ?1;

-- name: delete_run
-- 1 run
DELETE FROM runs WHERE key = ?1;

-- name: all_segments
SELECT segments.run, runs.id, seq, events, body FROM segments LEFT JOIN runs ON runs.key = segments.run
ORDER BY segments.run, seq;

-- name: all_runs
SELECT key, id, workflow, version, state, detail, created_us, updated_us, 0,
       epoch, owner, wake_us, finished_us, parent, note
FROM runs;

-- name: run_lines
-- 1 name of the namespace or NULL for any, 2 before, 3 workflow, 4 states as JSON array, 5 limit; NULL matches all.
-- list_runs for people: with the name of the namespace.
SELECT namespaces.name, runs.key, id, workflow, version, state, detail, created_us, updated_us,
       ifnull((SELECT seq + events FROM segments WHERE run = runs.key ORDER BY seq DESC LIMIT 1), 0),
       epoch, owner, wake_us, finished_us, parent, note
FROM runs JOIN namespaces ON namespaces.key = +runs.namespace
WHERE runs.key < ?2 AND (?1 IS NULL OR namespaces.name = ?1)
  AND (?3 IS NULL OR workflow = ?3)
  AND (?4 IS NULL OR state IN (SELECT value FROM json_each(?4)))
ORDER BY runs.key DESC LIMIT ?5;

-- name: run_lines_by_id
-- 1 name of the namespace or NULL for any, 2 id. Every namespace may have a run of that id; newest first.
SELECT namespaces.name, runs.key, id, workflow, version, state, detail, created_us, updated_us,
       ifnull((SELECT seq + events FROM segments WHERE run = runs.key ORDER BY seq DESC LIMIT 1), 0),
       epoch, owner, wake_us, finished_us, parent, note
FROM namespaces JOIN runs ON runs.namespace = namespaces.key
WHERE (?1 IS NULL OR namespaces.name = ?1) AND id = ?2
ORDER BY runs.key DESC;

-- name: ids_finished_before
-- 1 name of the namespace or NULL for any, 2 time. Oldest first.
SELECT namespaces.name, id FROM namespaces JOIN runs ON runs.namespace = namespaces.key
WHERE (?1 IS NULL OR namespaces.name = ?1) AND finished_us IS NOT NULL AND finished_us < ?2
ORDER BY finished_us, runs.key;
