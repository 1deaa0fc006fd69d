-- Every statement of the SQLite store. "-- name: x" starts the statement x, "-- part: x" what $x stands for in
-- statements; parameters are numbered in the order given.

-- part: run
-- The columns of a run, in the order of the fields of `RunRow`.
runs.key, id, workflow, version, state, detail, created_us, updated_us,
ifnull((SELECT seq + events FROM segments WHERE run = runs.key ORDER BY seq DESC LIMIT 1), 0),
epoch, owner, wake_us, finished_us, parent, note, queue, priority, share, requires, crashes

-- part: able
-- What a worker can execute: 4 workflows or NULL, 6 capabilities.
(?4 IS NULL OR json_array(workflow, version) IN (SELECT value FROM json_each(?4)))
AND (requires = '' OR NOT EXISTS (SELECT 1 FROM json_each(requires) AS needed
                                  WHERE needed.value NOT IN (SELECT value FROM json_each(?6))))

-- part: unneeded
-- No unfinished parent may ask for the run; 1 is the namespace key.
NOT EXISTS (SELECT 1 FROM runs AS above
            WHERE above.namespace = ?1 AND above.id = runs.parent AND above.finished_us IS NULL)

-- part: below
-- The descendants of the run; 1 is the namespace key. CROSS JOIN keeps the order of the tables: from each run found to
-- its children, by their index.
WITH RECURSIVE below (id, finished_us) AS (
  SELECT child.id, child.finished_us FROM runs AS child
  WHERE child.namespace = ?1 AND child.parent = runs.id
  UNION
  SELECT child.id, child.finished_us FROM below CROSS JOIN runs AS child
  WHERE child.namespace = ?1 AND child.parent = below.id)

-- part: chosen
-- Which runs are meant: 1 name of the namespace, 2 workflow, 3 states and 4 ids as JSON arrays; NULL matches all.
(?1 IS NULL OR namespace = (SELECT key FROM namespaces WHERE name = ?1))
AND (?2 IS NULL OR workflow = ?2)
AND (?3 IS NULL OR state IN (SELECT value FROM json_each(?3)))
AND (?4 IS NULL OR id IN (SELECT value FROM json_each(?4)))

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
-- 11 updated, 12 finished, 13 parent, 14 wake, 15 queue, 16 priority, 17 share, 18 requires, 19 singleton, 20 length.
-- An owner whose session has ended is nobody: owner is always NULL or a live session. A run of that id, or an
-- unfinished one of that singleton, keeps it from being added.
INSERT INTO runs (key, namespace, id, workflow, version, state, detail, epoch,
                  owner, created_us, updated_us, finished_us, parent, note,
                  wake_us, queue, priority, share, requires, singleton, claimed_length)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
        (SELECT number FROM sessions WHERE number = ?9 AND namespace = ?2 AND closed_us IS NULL AND ?12 IS NULL),
        ?10, ?11, ?12, ?13, '',
        ?14, ?15, ?16, ?17, ?18, ?19, ?20)
ON CONFLICT DO NOTHING;

-- name: insert_segment
-- 1 run, 2 seq, 3 events, 4 body, 5 epoch. The fence: no row is added unless the epoch is the run's.
INSERT INTO segments (run, seq, events, body)
SELECT ?1, ?2, ?3, ?4 FROM runs WHERE key = ?1 AND epoch = ?5;

-- name: consume_message
-- 1 run, 2 number, 3 epoch
DELETE FROM inbox
WHERE run = ?1 AND number = ?2 AND EXISTS (SELECT 1 FROM runs WHERE key = ?1 AND epoch = ?3);

-- name: change_head
-- 1 run, 2 epoch, 3 state, 4 detail, 5 wake, 6 note, 7 updated, 8 finished, 9 whether it is given up.
-- A message moves a run that is given up, or was nobody's already, but a signal moves none that is paused or has not
-- begun.
UPDATE runs
SET state = ?3, detail = ?4, note = ?6, updated_us = ?7, finished_us = ?8, owner = iif(?9, NULL, owner),
    wake_us = iif((?9 OR owner IS NULL) AND ?8 IS NULL AND EXISTS (
                    SELECT 1 FROM inbox
                    WHERE run = ?1 AND (kind <> 'signal' OR NOT (?4 = 'paused' OR ?3 = 'PENDING'))),
                  NULL, ?5)
WHERE key = ?1 AND epoch = ?2;

-- name: run_position
-- 1 run, 2 namespace key. Why an append was refused.
SELECT id, epoch, ifnull((SELECT seq + events FROM segments WHERE run = ?1 ORDER BY seq DESC LIMIT 1), 0)
FROM runs WHERE key = ?1 AND namespace = ?2;

-- name: run_by_id
-- 1 name of the namespace or NULL for any, 2 id; the newest if several namespaces have it
SELECT $run FROM runs
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
SELECT $run FROM runs
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
-- 1 name of the namespace, 2 the time that does not come
SELECT wake_us FROM runs
WHERE namespace = (SELECT key FROM namespaces WHERE name = ?1)
  AND finished_us IS NULL AND owner IS NULL AND wake_us < ?2
ORDER BY wake_us LIMIT 1;

-- name: insert_session
-- 1 namespace key, 2 host, 3 pid, 4 time, 5 end of the lease, 6 name, 7 about
INSERT INTO sessions (namespace, host, pid, opened_us, expires_us, name, about)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING number;

-- name: close_session
-- 1 namespace key, 2 session, 3 time
UPDATE sessions SET closed_us = ?3 WHERE number = ?2 AND namespace = ?1 AND closed_us IS NULL RETURNING number;

-- name: disown
-- 1 namespace key, 2 session, 3 whether its process died. Taking a run over records one event, that it was taken over,
-- which is no progress; nor is dying with a run that was taken over and waits a crash of it. A message moves a run that
-- nobody owns, but a signal moves none that is paused or has not begun.
UPDATE runs
SET owner = NULL,
    crashes = CASE
      WHEN NOT ?3 THEN crashes
      ELSE CASE (SELECT seq + events FROM segments WHERE run = runs.key ORDER BY seq DESC LIMIT 1) - claimed_length
        WHEN 0 THEN crashes + 1
        WHEN 1 THEN crashes + (detail NOT IN ('sleeping', 'waiting_child', 'waiting_signal', 'retrying', 'paused',
                                              'stuck'))
        ELSE 0 END
      END,
    wake_us = iif(EXISTS (SELECT 1 FROM inbox
                          WHERE run = runs.key
                            AND (kind <> 'signal' OR NOT (runs.detail = 'paused' OR runs.state = 'PENDING'))),
                  NULL, wake_us)
WHERE namespace = ?1 AND finished_us IS NULL AND owner = ?2;

-- name: session_lives
-- 1 namespace key, 2 session
SELECT 1 FROM sessions WHERE number = ?2 AND namespace = ?1 AND closed_us IS NULL;

-- name: claimable
-- 1 namespace key, 2 now, 3 limit, 4 workflows or NULL, 5 queues or NULL, 6 capabilities, 7 crash limit. Runs that have
-- begun, the oldest first; two halves, because each is a range of the index.
SELECT key FROM (
  SELECT key FROM (
    SELECT key FROM runs INDEXED BY runs_begun
    WHERE namespace = ?1 AND finished_us IS NULL AND owner IS NULL AND wake_us IS NULL
      AND state = 'RUNNING' AND crashes < ?7
      AND (?5 IS NULL OR queue = '' OR queue IN (SELECT value FROM json_each(?5))) AND $able
    ORDER BY key LIMIT ?3)
  UNION ALL
  SELECT key FROM (
    SELECT key FROM runs INDEXED BY runs_begun
    WHERE namespace = ?1 AND finished_us IS NULL AND owner IS NULL AND wake_us <= ?2
      AND state = 'RUNNING' AND crashes < ?7
      AND (?5 IS NULL OR queue = '' OR queue IN (SELECT value FROM json_each(?5))) AND $able
    ORDER BY key LIMIT ?3)
) ORDER BY key LIMIT ?3;

-- name: waiting_shares
-- 1 namespace key, 2 queues or NULL. Where runs wait for their start. From each share straight to the next by the index,
-- so that it takes no longer the more runs wait.
WITH RECURSIVE places (queue, priority, share) AS (
  SELECT * FROM (
    SELECT queue, priority, share FROM runs
    WHERE namespace = ?1 AND state = 'PENDING' AND owner IS NULL AND finished_us IS NULL
    ORDER BY queue, priority, share LIMIT 1)
  UNION ALL
  SELECT runs.queue, runs.priority, runs.share FROM places CROSS JOIN runs
  WHERE runs.key = coalesce(
    (SELECT later.key FROM runs AS later INDEXED BY runs_waiting
     WHERE later.namespace = ?1 AND later.state = 'PENDING' AND later.owner IS NULL AND later.finished_us IS NULL
       AND later.queue = places.queue AND later.priority = places.priority AND later.share > places.share
     ORDER BY later.share LIMIT 1),
    (SELECT later.key FROM runs AS later INDEXED BY runs_waiting
     WHERE later.namespace = ?1 AND later.state = 'PENDING' AND later.owner IS NULL AND later.finished_us IS NULL
       AND later.queue = places.queue AND later.priority > places.priority
     ORDER BY later.priority, later.share LIMIT 1),
    (SELECT later.key FROM runs AS later INDEXED BY runs_waiting
     WHERE later.namespace = ?1 AND later.state = 'PENDING' AND later.owner IS NULL AND later.finished_us IS NULL
       AND later.queue > places.queue
     ORDER BY later.queue, later.priority, later.share LIMIT 1)))
SELECT queue, priority, share FROM places
WHERE ?2 IS NULL OR queue = '' OR queue IN (SELECT value FROM json_each(?2));

-- name: candidates
-- 1 namespace key, 2 now, 3 limit, 4 workflows or NULL, 5 queue, 6 capabilities, 7 crash limit, 8 priority, 9 share.
-- Later ones of the same share cannot be among the first so many that start. Two halves, as in claimable.
SELECT key FROM (
  SELECT key FROM (
    SELECT key FROM runs
    WHERE namespace = ?1 AND state = 'PENDING' AND owner IS NULL AND finished_us IS NULL
      AND queue = ?5 AND priority = ?8 AND share = ?9 AND wake_us IS NULL AND crashes < ?7
      AND $able
    ORDER BY key LIMIT ?3)
  UNION ALL
  SELECT key FROM (
    SELECT key FROM runs
    WHERE namespace = ?1 AND state = 'PENDING' AND owner IS NULL AND finished_us IS NULL
      AND queue = ?5 AND priority = ?8 AND share = ?9 AND wake_us <= ?2 AND crashes < ?7
      AND $able
    ORDER BY key LIMIT ?3)
) ORDER BY key LIMIT ?3;

-- name: places_taken
-- 1 namespace key. Runs that have begun, or are about to, by queue and share.
SELECT queue, share, count(*) FROM runs INDEXED BY runs_placed
WHERE namespace = ?1 AND finished_us IS NULL AND queue <> '' AND (state = 'RUNNING' OR owner IS NOT NULL)
GROUP BY queue, share;

-- name: shares_served
-- 1 namespace key, 2 queue
SELECT share, served_us FROM shares WHERE namespace = ?1 AND queue = ?2;

-- name: serve_share
-- 1 namespace key, 2 queue, 3 share, 4 time
INSERT INTO shares (namespace, queue, share, served_us) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (namespace, queue, share) DO UPDATE SET served_us = excluded.served_us;

-- name: move_rate
-- 1 namespace key, 2 queue, 3 theoretical arrival time
UPDATE queues SET tat_us = ?3 WHERE namespace = ?1 AND name = ?2;

-- name: claimable_by_id
-- 1 namespace key, 2 id, 3 session, 4 whether by force
SELECT key FROM runs
WHERE namespace = ?1 AND id = ?2 AND finished_us IS NULL AND (?4 OR owner IS NULL OR owner = ?3);

-- name: take_run
-- 1 run, 2 session, 3 length of its history, 4 crashes
UPDATE runs SET owner = ?2, epoch = epoch + 1, claimed_length = ?3, crashes = ?4 WHERE key = ?1;

-- name: run_by_key
-- 1 run
SELECT $run FROM runs WHERE key = ?1;

-- name: key_by_id
-- 1 namespace key, 2 id
SELECT key FROM runs WHERE namespace = ?1 AND id = ?2;

-- name: deletable
-- 1 namespace key, 2 id. Finished, not needed by an unfinished parent, and no descendant has to stay.
SELECT key FROM runs
WHERE namespace = ?1 AND id = ?2 AND finished_us IS NOT NULL
  AND $unneeded
  AND NOT EXISTS ($below
                  SELECT 1 FROM below WHERE finished_us IS NULL);

-- name: finished_before
-- 1 namespace key, 2 time, 3 limit. Those of deletable whose descendants have finished before that time too, oldest
-- first.
SELECT key FROM runs
WHERE namespace = ?1 AND finished_us IS NOT NULL AND finished_us < ?2
  AND $unneeded
  AND NOT EXISTS ($below
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

-- name: ledger_count
-- 1 to 4 as for $chosen
SELECT count(*) FROM runs
WHERE $chosen;

-- name: ledger_entries
-- As ledger_count. In the order of the primary keys, so that nothing is sorted and rows come at once.
SELECT ifnull((SELECT name FROM namespaces WHERE namespaces.key = runs.namespace), ''), runs.key, id, workflow, version,
       state, detail, created_us, updated_us, finished_us, wake_us, parent, note, epoch, queue, priority, share, requires,
       crashes, posted, NULL, seq, events, body
FROM runs LEFT JOIN segments ON segments.run = runs.key
WHERE $chosen
ORDER BY runs.key, seq;

-- name: ledger_messages
SELECT namespaces.name, runs.id, number, payload
FROM inbox JOIN runs ON runs.key = run JOIN namespaces ON namespaces.key = runs.namespace ORDER BY run, number;

-- name: lost_runs
SELECT '', id, namespace FROM runs WHERE namespace NOT IN (SELECT key FROM namespaces) ORDER BY key;

-- name: lost_owners
SELECT ifnull((SELECT name FROM namespaces WHERE namespaces.key = runs.namespace), ''), id, owner FROM runs
WHERE finished_us IS NULL AND owner IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM sessions
                  WHERE number = runs.owner AND sessions.namespace = runs.namespace AND closed_us IS NULL)
ORDER BY runs.key;

-- name: lost_segments
SELECT run, min(seq) FROM segments WHERE run NOT IN (SELECT key FROM runs) GROUP BY run ORDER BY run;

-- name: lost_messages
SELECT run, number FROM inbox WHERE run NOT IN (SELECT key FROM runs) ORDER BY run, number;

-- name: lost_message_ids
SELECT run, id FROM message_ids WHERE run NOT IN (SELECT key FROM runs) ORDER BY run, id;

-- name: lost_sessions
-- Those of before sessions had namespaces have 0.
SELECT number, namespace FROM sessions
WHERE namespace <> 0 AND namespace NOT IN (SELECT key FROM namespaces) ORDER BY number;

-- name: lost_shares
SELECT namespace, queue, share FROM shares
WHERE namespace NOT IN (SELECT key FROM namespaces) ORDER BY namespace, queue, share;

-- name: run_lines
-- 1 name of the namespace or NULL for any, 2 before, 3 workflow, 4 states as JSON array, 5 limit; NULL matches all.
-- list_runs for people: with the name of the namespace.
SELECT namespaces.name, $run
FROM runs JOIN namespaces ON namespaces.key = +runs.namespace
WHERE runs.key < ?2 AND (?1 IS NULL OR namespaces.name = ?1)
  AND (?3 IS NULL OR workflow = ?3)
  AND (?4 IS NULL OR state IN (SELECT value FROM json_each(?4)))
ORDER BY runs.key DESC LIMIT ?5;

-- name: run_lines_by_id
-- 1 name of the namespace or NULL for any, 2 id. Every namespace may have a run of that id; newest first.
SELECT namespaces.name, $run
FROM namespaces JOIN runs ON runs.namespace = namespaces.key
WHERE (?1 IS NULL OR namespaces.name = ?1) AND id = ?2
ORDER BY runs.key DESC;

-- name: standing
-- 1 name of the namespace or NULL for any. When the run that waits longest for its start was created, and how many are
-- stuck.
SELECT min(iif(state = 'PENDING', created_us, NULL)), count(*) FILTER (WHERE detail = 'stuck') FROM runs
WHERE finished_us IS NULL AND +namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1);

-- name: queue_lines
-- 1 name of the namespace or NULL for any. As queues and queue_counts in one, for people.
WITH wanted AS (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1),
     counts AS (
         SELECT namespace, queue, sum(state = 'PENDING' AND owner IS NULL) AS pending,
                sum(state <> 'PENDING' OR owner IS NOT NULL) AS running,
                min(iif(state = 'PENDING' AND owner IS NULL, created_us, NULL)) AS oldest_us
         FROM runs WHERE namespace IN wanted AND finished_us IS NULL AND queue <> '' GROUP BY namespace, queue)
SELECT ifnull(queues.name, counts.queue), ifnull(pending, 0), ifnull(running, 0), concurrency, ifnull(is_paused, 0),
       oldest_us
FROM (SELECT * FROM queues WHERE namespace IN wanted) AS queues
FULL JOIN counts ON counts.namespace = queues.namespace AND counts.queue = queues.name
ORDER BY 1;

-- name: schedule_ids
-- 1 name of the namespace or NULL for any
SELECT id FROM schedules WHERE namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1) ORDER BY id;

-- name: session_lines
-- 1 name of the namespace or NULL for any. The live sessions, oldest first.
SELECT number, name, host, pid,
       (SELECT count(*) FROM runs WHERE namespace = sessions.namespace AND finished_us IS NULL
        AND owner = sessions.number), about
FROM sessions
WHERE closed_us IS NULL AND namespace IN (SELECT key FROM namespaces WHERE ?1 IS NULL OR name = ?1) ORDER BY number;

-- name: ids_finished_before
-- 1 name of the namespace or NULL for any, 2 time. Oldest first.
SELECT namespaces.name, id FROM namespaces JOIN runs ON runs.namespace = namespaces.key
WHERE (?1 IS NULL OR namespaces.name = ?1) AND finished_us IS NOT NULL AND finished_us < ?2
ORDER BY finished_us, runs.key;

-- name: renew_session
-- 1 namespace key, 2 session, 3 end of the lease
UPDATE sessions SET expires_us = ?3 WHERE number = ?2 AND namespace = ?1 AND closed_us IS NULL RETURNING number;

-- name: expired_sessions
-- 1 namespace key, 2 now
SELECT number FROM sessions WHERE namespace = ?1 AND closed_us IS NULL AND expires_us <= ?2 ORDER BY number;

-- name: sessions_without_lease
-- 1 namespace key
SELECT number FROM sessions WHERE namespace = ?1 AND closed_us IS NULL AND expires_us IS NULL;

-- name: forget_sessions
-- 1 namespace key, 2 time, 3 limit. Those that ended before it, also of before sessions had namespaces.
DELETE FROM sessions
WHERE number IN (SELECT number FROM sessions
                 WHERE namespace IN (?1, 0) AND closed_us < ?2 ORDER BY closed_us, number LIMIT ?3)
RETURNING number;

-- name: forget_shares
-- 1 namespace key, 2 time, 3 limit. Those served before it that have no unfinished run.
DELETE FROM shares
WHERE namespace = ?1 AND (queue, share) IN (
    SELECT old.queue, old.share FROM shares AS old
    WHERE old.namespace = ?1 AND old.served_us < ?2
      AND NOT EXISTS (SELECT 1 FROM runs INDEXED BY runs_queued
                      WHERE runs.namespace = ?1 AND runs.finished_us IS NULL AND runs.queue <> ''
                        AND runs.queue = old.queue AND runs.share = old.share)
    ORDER BY old.served_us, old.queue, old.share LIMIT ?3)
RETURNING share;

-- name: live_sessions
-- 1 namespace key, 2 limit
SELECT number, host, pid, opened_us, closed_us, expires_us, name, about,
       (SELECT count(*) FROM runs WHERE namespace = ?1 AND finished_us IS NULL AND owner = sessions.number)
FROM sessions WHERE namespace = ?1 AND closed_us IS NULL ORDER BY number LIMIT ?2;

-- name: owned_runs
-- 1 namespace key, 2 session
SELECT key FROM runs WHERE namespace = ?1 AND finished_us IS NULL AND owner = ?2 ORDER BY key;

-- name: release_run
-- 1 run. As disown, for one run.
UPDATE runs
SET owner = NULL,
    wake_us = iif(EXISTS (SELECT 1 FROM inbox
                          WHERE run = ?1 AND (kind <> 'signal' OR NOT (detail = 'paused' OR state = 'PENDING'))),
                  NULL, wake_us)
WHERE key = ?1;

-- name: poisoned
-- 1 name of the namespace, 2 crash limit, 3 limit
SELECT $run FROM runs
WHERE namespace = (SELECT key FROM namespaces WHERE name = ?1)
  AND finished_us IS NULL AND owner IS NULL AND crashes > 0 AND crashes >= ?2 AND detail <> 'stuck'
ORDER BY key LIMIT ?3;

-- name: inbox
-- 1 name of the namespace, 2 id of the run
SELECT number, inbox.id, kind, name, payload, at_us FROM inbox
WHERE run = (SELECT key FROM runs WHERE namespace = (SELECT key FROM namespaces WHERE name = ?1) AND id = ?2)
ORDER BY number;

-- name: unread
-- 1 name of the namespace, 2 session
SELECT id FROM runs
WHERE namespace = (SELECT key FROM namespaces WHERE name = ?1) AND finished_us IS NULL AND owner = ?2
  AND EXISTS (SELECT 1 FROM inbox WHERE run = runs.key)
ORDER BY key;

-- name: message_number
-- 1 run, 2 id of the message
SELECT number FROM message_ids WHERE run = ?1 AND id = ?2;

-- name: next_number
-- 1 run, 2 whether the message moves the run
UPDATE runs SET posted = posted + 1, wake_us = iif(?2 AND owner IS NULL, NULL, wake_us)
WHERE key = ?1 RETURNING posted;

-- name: insert_message
-- 1 run, 2 number, 3 id, 4 kind, 5 name, 6 payload, 7 time
INSERT INTO inbox (run, number, id, kind, name, payload, at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: has_message
-- 1 run, 2 number
SELECT 1 FROM inbox WHERE run = ?1 AND number = ?2;

-- name: name_message
-- 1 run, 2 id of the message, 3 number
INSERT INTO message_ids (run, id, number) VALUES (?1, ?2, ?3);

-- name: key_by_singleton
-- 1 namespace key, 2 singleton
SELECT key FROM runs WHERE namespace = ?1 AND singleton = ?2 AND finished_us IS NULL;

-- name: debounce
-- 1 run, 2 wake, 3 singleton. Only before anybody has taken it. A message moves it as ever.
UPDATE runs
SET wake_us = iif(EXISTS (SELECT 1 FROM inbox WHERE run = ?1 AND kind <> 'signal'), NULL, ?2)
WHERE key = ?1 AND state = 'PENDING' AND epoch = 0 AND singleton = ?3 RETURNING key;

-- name: put_queue
-- 1 namespace key, 2 name, 3 concurrency, 4 concurrency per share, 5 rate, 6 period, 7 burst, 8 whether it is paused
INSERT INTO queues (namespace, name, concurrency, concurrency_per_share, rate, rate_period_us, burst, is_paused)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (namespace, name) DO UPDATE SET
    concurrency = excluded.concurrency, concurrency_per_share = excluded.concurrency_per_share, rate = excluded.rate,
    rate_period_us = excluded.rate_period_us, burst = excluded.burst, is_paused = excluded.is_paused;

-- name: delete_queue
-- 1 namespace key, 2 name
DELETE FROM queues WHERE namespace = ?1 AND name = ?2 RETURNING name;

-- name: queues
-- 1 namespace key
SELECT name, concurrency, concurrency_per_share, rate, rate_period_us, burst, is_paused, tat_us
FROM queues WHERE namespace = ?1 ORDER BY name;

-- name: queue_counts
-- 1 namespace key. By queue: waiting, placed, and when the one that waits longest was created.
SELECT queue, sum(state = 'PENDING' AND owner IS NULL), sum(state <> 'PENDING' OR owner IS NOT NULL),
       min(iif(state = 'PENDING' AND owner IS NULL, created_us, NULL))
FROM runs WHERE namespace = ?1 AND finished_us IS NULL AND queue <> '' GROUP BY queue;

-- name: rank
-- 1 namespace key, 2 queue, 3 share, 4 priority, 5 key. How many come before such a run, and have a place in its share.
SELECT (SELECT count(*) FROM runs WHERE namespace = ?1 AND finished_us IS NULL AND queue = ?2
        AND state = 'PENDING' AND owner IS NULL AND (priority, key) < (?4, ?5)),
       (SELECT count(*) FROM runs WHERE namespace = ?1 AND finished_us IS NULL AND queue = ?2 AND share = ?3
        AND (state <> 'PENDING' OR owner IS NOT NULL));

-- name: put_schedule
-- 1 namespace key, 2 id, 3 spec, 4 next, 5 whether it is paused, 6 last run
INSERT INTO schedules (namespace, id, spec, next_us, is_paused, last_run) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (namespace, id) DO UPDATE SET
    spec = excluded.spec, next_us = excluded.next_us, is_paused = excluded.is_paused, last_run = excluded.last_run;

-- name: delete_schedule
-- 1 namespace key, 2 id
DELETE FROM schedules WHERE namespace = ?1 AND id = ?2 RETURNING id;

-- name: schedules
-- 1 namespace key
SELECT id, spec, next_us, is_paused, last_run FROM schedules WHERE namespace = ?1 ORDER BY id;

-- name: next_schedule
-- 1 namespace key
SELECT min(next_us) FROM schedules WHERE namespace = ?1 AND NOT is_paused;

-- name: fire_schedule
-- 1 namespace key, 2 id, 3 due, 4 next, 5 last run or NULL
UPDATE schedules SET next_us = ?4, last_run = ifnull(?5, last_run)
WHERE namespace = ?1 AND id = ?2 AND next_us = ?3 RETURNING id;

-- name: put_token
-- 1 hash, 2 namespace, 3 role, 4 created, 5 note
INSERT INTO tokens (hash, namespace, role, created_us, note) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (hash) DO UPDATE SET
    namespace = excluded.namespace, role = excluded.role, created_us = excluded.created_us, note = excluded.note;

-- name: delete_token
-- 1 hash
DELETE FROM tokens WHERE hash = ?1 RETURNING hash;

-- name: tokens
SELECT hash, namespace, role, created_us, note FROM tokens ORDER BY created_us, hash;

-- name: delete_inbox
-- 1 run
DELETE FROM inbox WHERE run = ?1;

-- name: delete_message_ids
-- 1 run
DELETE FROM message_ids WHERE run = ?1;

-- name: namespace_names
SELECT name FROM namespaces ORDER BY name;
