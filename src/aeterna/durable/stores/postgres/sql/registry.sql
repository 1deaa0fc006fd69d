-- What is kept beside the runs: queues, schedules, tokens.

-- name: put_queue
-- 1 namespace, 2 name, 3 concurrency, 4 per share, 5 rate, 6 period, 7 burst, 8 paused
INSERT INTO aeterna.queues (namespace, name, concurrency, concurrency_per_share, rate, rate_period_us, burst, is_paused)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (namespace, name) DO UPDATE SET
  concurrency = excluded.concurrency, concurrency_per_share = excluded.concurrency_per_share, rate = excluded.rate,
  rate_period_us = excluded.rate_period_us, burst = excluded.burst, is_paused = excluded.is_paused;

-- name: delete_queue
-- 1 namespace, 2 name
DELETE FROM aeterna.queues WHERE namespace = $1 AND name = $2 RETURNING 1;

-- name: list_queues
-- 1 namespace. Those that were put, and those that have unfinished runs.
SELECT coalesce(queues.name, standing.name), concurrency, concurrency_per_share, rate, rate_period_us, burst, is_paused,
       coalesce(pending, 0), coalesce(running, 0), oldest_us, coalesce(tat_us, 0)
FROM (SELECT * FROM aeterna.queues WHERE namespace = $1) AS queues
FULL JOIN (SELECT queue AS name,
                  count(*) FILTER (WHERE state = 'PENDING' AND owner IS NULL) AS pending,
                  count(*) FILTER (WHERE state = 'RUNNING' OR owner IS NOT NULL) AS running,
                  min(created_us) FILTER (WHERE state = 'PENDING' AND owner IS NULL) AS oldest_us
           FROM aeterna.runs WHERE namespace = $1 AND finished_us IS NULL AND queue <> ''
           GROUP BY queue) AS standing ON standing.name = queues.name
ORDER BY 1;

-- name: rank
-- 1 namespace, 2 queue, 3 share, 4 priority, 5 key. How many come before such a run, and have a place in its share.
SELECT count(*) FILTER (WHERE state = 'PENDING' AND owner IS NULL AND (priority, key) < ($4::integer, $5::bigint)),
       count(*) FILTER (WHERE share = $3 AND (state = 'RUNNING' OR owner IS NOT NULL))
FROM aeterna.runs WHERE namespace = $1 AND finished_us IS NULL AND queue <> '' AND queue = $2;

-- name: put_schedule
-- 1 namespace, 2 id, 3 spec, 4 next, 5 paused, 6 last run
INSERT INTO aeterna.schedules (namespace, id, spec, next_us, is_paused, last_run) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (namespace, id) DO UPDATE SET
  spec = excluded.spec, next_us = excluded.next_us, is_paused = excluded.is_paused, last_run = excluded.last_run;

-- name: delete_schedule
-- 1 namespace, 2 id
DELETE FROM aeterna.schedules WHERE namespace = $1 AND id = $2 RETURNING 1;

-- name: list_schedules
-- 1 namespace
SELECT id, spec, next_us, is_paused, last_run FROM aeterna.schedules WHERE namespace = $1 ORDER BY id;

-- name: next_schedule
-- 1 namespace
SELECT min(next_us) FROM aeterna.schedules WHERE namespace = $1 AND NOT is_paused;

-- name: put_token
-- 1 hash, 2 namespace, 3 role, 4 created, 5 note
INSERT INTO aeterna.tokens (hash, namespace, role, created_us, note) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (hash) DO UPDATE SET
  namespace = excluded.namespace, role = excluded.role, created_us = excluded.created_us, note = excluded.note;

-- name: delete_token
-- 1 hash
DELETE FROM aeterna.tokens WHERE hash = $1 RETURNING 1;

-- name: list_tokens
SELECT hash, namespace, role, created_us, note FROM aeterna.tokens ORDER BY created_us, hash;
