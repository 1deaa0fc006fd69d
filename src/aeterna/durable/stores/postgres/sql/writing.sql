-- Runs, histories and messages are written by these. "-- name: x" starts the statement x.

-- name: create_runs
-- 1 namespace, 2 day; one per run: 3 id, 4 workflow, 5 version, 6 state, 7 detail, 8 epoch, 9 owner, 10 created,
-- 11 updated, 12 finished, 13 wake, 14 parent, 15 queue, 16 priority, 17 share, 18 requires as JSON, 19 singleton,
-- 20 how many events, 21 events. An owner whose session has ended is nobody. Returns the place in the arrays (from 1)
-- and key of each run that was created.
WITH live AS MATERIALIZED (
  SELECT number FROM aeterna.sessions WHERE number = ANY ($9::bigint[]) AND closed_us IS NULL FOR KEY SHARE
), given AS MATERIALIZED (
  SELECT nextval('aeterna.run_keys') AS key, run.*
  FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[],
              $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bigint[], $17::text[],
              $18::text[], $19::text[], $20::integer[], $21::bytea[])
    WITH ORDINALITY AS run (id, workflow, version, state, detail, epoch, owner, created_us, updated_us, finished_us,
                            wake_us, parent, queue, priority, share, requires, singleton, events, body, place)
), made AS (
  INSERT INTO aeterna.runs (key, namespace, day, id, workflow, version, state, detail, length, epoch, owner,
                            claimed_length, crashes, created_us, updated_us, finished_us, wake_us, parent, note, queue,
                            priority, share, requires, singleton, messages, signals, orders)
  SELECT key, $1, $2, id, workflow, version, state, detail, events, epoch,
         CASE WHEN finished_us IS NULL THEN (SELECT number FROM live WHERE number = given.owner) END,
         events, 0, created_us, updated_us, finished_us, wake_us, parent, '', queue, priority, share,
         CASE requires WHEN '' THEN '{}' ELSE ARRAY(SELECT json_array_elements_text(requires::json)) END,
         singleton, 0, 0, 0
  FROM given ORDER BY place
  ON CONFLICT DO NOTHING
  RETURNING key
), wrote AS (
  INSERT INTO aeterna.events (day, run, seq, events, body)
  SELECT $2, key, 0, events, body FROM given JOIN made USING (key)
)
SELECT place, key FROM given JOIN made USING (key);

-- name: append
-- 1 namespace; one per run: 2 key, 3 epoch, 4 first, 5 how many events, 6 events (NULL: none), 7 state (NULL: the row
-- stays as it is), 8 detail, 9 wake, 10 note, 11 at, 12 whether the run has ended, 13 whether it is given up; one per
-- message that is recorded: 14 key, 15 number. Returns the keys of those written.
--
-- The fence: a row of another epoch is not found. Two writers meet at the row's lock, and the later one compares with
-- what the earlier one left. An append to another place than the end makes the length NULL, which undoes everything.
-- The unary plus keeps the planner from any other way than the primary key.
WITH given AS MATERIALIZED (
  SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::integer[], $6::bytea[], $7::text[], $8::text[],
                       $9::bigint[], $10::text[], $11::bigint[], $12::boolean[], $13::boolean[])
    AS run (key, epoch, first, events, body, state, detail, wake_us, note, at_us, has_ended, is_released)
), recorded AS MATERIALIZED (
  SELECT inbox.run AS key, count(*) FILTER (WHERE kind = 'signal') AS signals,
         count(*) FILTER (WHERE kind <> 'signal') AS orders
  FROM unnest($14::bigint[], $15::integer[]) AS message (run, number)
  JOIN aeterna.inbox USING (run, number)
  WHERE payload IS NOT NULL
  GROUP BY inbox.run
), written AS (
  UPDATE aeterna.runs AS run SET
    length = CASE WHEN run.length = given.first THEN run.length + given.events END,
    state = coalesce(given.state, run.state),
    detail = CASE WHEN given.state IS NULL THEN run.detail ELSE given.detail END,
    note = CASE WHEN given.state IS NULL THEN run.note ELSE given.note END,
    updated_us = CASE WHEN given.state IS NULL THEN run.updated_us ELSE given.at_us END,
    finished_us = CASE WHEN given.state IS NULL THEN run.finished_us WHEN given.has_ended THEN given.at_us END,
    owner = CASE WHEN given.is_released OR given.has_ended THEN NULL ELSE run.owner END,
    wake_us = CASE
      WHEN given.state IS NULL THEN run.wake_us
      WHEN (given.is_released OR given.has_ended OR run.owner IS NULL)
           AND (run.orders - coalesce(recorded.orders, 0) > 0
                OR (run.signals - coalesce(recorded.signals, 0) > 0 AND given.detail <> 'paused'
                    AND given.state <> 'PENDING')) THEN NULL
      ELSE given.wake_us END,
    signals = run.signals - coalesce(recorded.signals, 0),
    orders = run.orders - coalesce(recorded.orders, 0)
  FROM given LEFT JOIN recorded USING (key)
  WHERE run.key = given.key AND run.epoch = given.epoch AND +run.namespace = $1
  RETURNING run.key, run.day, given.first, given.events, given.body
), taken AS (
  UPDATE aeterna.inbox SET payload = NULL
  FROM unnest($14::bigint[], $15::integer[]) AS message (run, number)
  WHERE inbox.run = message.run AND inbox.number = message.number AND inbox.run IN (SELECT key FROM written)
), wrote AS (
  INSERT INTO aeterna.events (day, run, seq, events, body)
  SELECT day, key, first, events, body FROM written WHERE body IS NOT NULL
)
SELECT key FROM written;

-- name: lock_run
-- 1 namespace, 2 key. Before an append that is looked at by itself.
SELECT id, epoch, length FROM aeterna.runs WHERE +namespace = $1 AND key = $2 FOR NO KEY UPDATE;

-- name: tail
-- 1 key, 2 first. The segments from the one on that holds it, to be compared with an append that may have been written
-- before, perhaps together with others.
SELECT seq, events, body FROM aeterna.events
WHERE day = (SELECT day FROM aeterna.runs WHERE key = $1) AND run = $1 AND seq + events > $2 ORDER BY seq;

-- name: post
-- 1 namespace, 2 run id, 3 id, 4 kind, 5 name, 6 payload, 7 at. No row: the run has ended, is not there, or has a
-- message of this id; if that one is being written right now, its unique index refuses this one.
WITH target AS (
  UPDATE aeterna.runs AS run SET
    messages = run.messages + 1,
    signals = run.signals + CASE $4 WHEN 'signal' THEN 1 ELSE 0 END,
    orders = run.orders + CASE $4 WHEN 'signal' THEN 0 ELSE 1 END,
    wake_us = CASE WHEN run.owner IS NULL
                        AND ($4 <> 'signal' OR run.orders > 0 OR (run.detail <> 'paused' AND run.state <> 'PENDING'))
                   THEN NULL ELSE run.wake_us END
  WHERE run.namespace = $1 AND run.id = $2 AND run.finished_us IS NULL
    AND NOT EXISTS (SELECT 1 FROM aeterna.inbox WHERE inbox.run = run.key AND inbox.id = $3 AND inbox.id <> '')
  RETURNING run.key, run.messages, run.owner
), wrote AS (
  INSERT INTO aeterna.inbox (run, number, id, kind, name, payload, at_us)
  SELECT key, messages, $3, $4, $5, $6::bytea, $7::bigint FROM target
)
SELECT messages, owner FROM target;

-- name: find_message
-- 1 run, 2 id
SELECT number FROM aeterna.inbox WHERE run = $1 AND id = $2 AND id <> '';

-- name: find_posted
-- 1 run, 2 id, 3 kind, 4 name, 5 at. The message that a post wrote whose answer was lost.
SELECT number FROM aeterna.inbox WHERE run = $1 AND id = $2 AND kind = $3 AND name = $4 AND at_us = $5
ORDER BY number DESC LIMIT 1;

-- name: move_schedule
-- 1 namespace, 2 id, 3 due, 4 next, 5 id of the run or NULL
UPDATE aeterna.schedules SET next_us = $4, last_run = coalesce($5, last_run)
WHERE namespace = $1 AND id = $2 AND next_us = $3 RETURNING 1;

-- name: schedule_position
-- 1 namespace, 2 id
SELECT next_us, last_run FROM aeterna.schedules WHERE namespace = $1 AND id = $2 FOR NO KEY UPDATE;

-- name: lock_singleton
-- 1 namespace, 2 singleton. The unfinished run that has it.
SELECT id FROM aeterna.runs WHERE namespace = $1 AND singleton = $2 AND finished_us IS NULL FOR NO KEY UPDATE;

-- name: replace_start
-- 1 namespace, 2 id, 3 singleton, 4 wake, 5 how many events. A run of this singleton that nobody has ever taken gets
-- another beginning.
UPDATE aeterna.runs SET wake_us = CASE WHEN orders = 0 THEN $4::bigint END, length = $5
WHERE namespace = $1 AND id = $2 AND singleton = $3 AND state = 'PENDING' AND epoch = 0
RETURNING key, day;

-- name: drop_events
-- 1 day, 2 key
DELETE FROM aeterna.events WHERE day = $1 AND run = $2;

-- name: insert_events
-- 1 day, 2 key, 3 how many events, 4 events
INSERT INTO aeterna.events (day, run, seq, events, body) VALUES ($1, $2, 0, $3, $4);

-- name: deletable
-- 1 namespace, 2 ids. Finished, not needed by an unfinished parent, and no descendant has to stay.
SELECT key FROM aeterna.runs
WHERE namespace = $1 AND id = ANY ($2::text[]) AND finished_us IS NOT NULL
  AND $unneeded
  AND NOT EXISTS ($below
                  SELECT 1 FROM below WHERE finished_us IS NULL);

-- name: finished_before
-- 1 namespace, 2 time, 3 limit. Those of deletable whose descendants have finished before that time too, oldest first.
SELECT key FROM aeterna.runs
WHERE namespace = $1 AND finished_us IS NOT NULL AND finished_us < $2
  AND $unneeded
  AND NOT EXISTS ($below
                  SELECT 1 FROM below WHERE finished_us IS NULL OR finished_us >= $2)
ORDER BY finished_us, key LIMIT $3;

-- name: delete_families
-- 1 namespace, 2 keys. The runs and all their descendants; returns where their events lie.
WITH RECURSIVE family (key, id) AS (
  SELECT key, id FROM aeterna.runs WHERE key = ANY ($2::bigint[])
  UNION
  SELECT child.key, child.id FROM family
  JOIN aeterna.runs AS child ON child.namespace = $1 AND child.parent = family.id
), unread AS (
  DELETE FROM aeterna.inbox WHERE run IN (SELECT key FROM family)
)
DELETE FROM aeterna.runs WHERE key IN (SELECT key FROM family) RETURNING key, day;

-- name: delete_events
-- 1 days, 2 keys
DELETE FROM aeterna.events USING unnest($1::integer[], $2::bigint[]) AS gone (day, run)
WHERE events.day = gone.day AND events.run = gone.run;
