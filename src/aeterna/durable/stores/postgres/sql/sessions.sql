-- Sessions, and which runs they have.

-- name: open_session
-- 1 namespace, 2 host, 3 pid, 4 opened, 5 expires, 6 name, 7 about
INSERT INTO aeterna.sessions (namespace, host, pid, opened_us, expires_us, name, about)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING number;

-- name: lock_sessions
-- 1 namespace, 2 numbers. Those that live; waits for who is making them the owner of a run.
SELECT number FROM aeterna.sessions
WHERE namespace = $1 AND number = ANY ($2::bigint[]) AND closed_us IS NULL ORDER BY number FOR UPDATE;

-- name: close_sessions
-- 1 numbers, 2 time
UPDATE aeterna.sessions SET closed_us = $2 WHERE number = ANY ($1::bigint[]);

-- name: disown
-- 1 sessions, 2 keys that are kept, 3 whether the owner died. Taking a run over records one event, which is no progress;
-- nor is dying with a run that was taken over and waits a crash of it.
-- A message moves a run that nobody owns, but a signal moves none that is paused or has not begun.
UPDATE aeterna.runs SET
  owner = NULL,
  wake_us = CASE WHEN orders > 0 OR (signals > 0 AND detail <> 'paused' AND state <> 'PENDING') THEN NULL
                 ELSE wake_us END,
  crashes = CASE
    WHEN NOT $3::boolean THEN crashes
    WHEN length > claimed_length + 1 THEN 0
    WHEN length > claimed_length
         AND detail IN ('sleeping', 'waiting_child', 'waiting_signal', 'retrying', 'paused', 'stuck') THEN crashes
    ELSE crashes + 1 END
WHERE key IN (SELECT key FROM aeterna.runs WHERE owner = ANY ($1::bigint[]) AND NOT key = ANY ($2::bigint[])
              ORDER BY key FOR NO KEY UPDATE)
RETURNING key;

-- name: expired
-- 1 namespace, 2 time
SELECT number FROM aeterna.sessions
WHERE namespace = $1 AND closed_us IS NULL AND expires_us <= $2 ORDER BY number;

-- name: lock_expired
-- 1 namespace, 2 time. Those that another server is ending right now are left to it.
SELECT number FROM aeterna.sessions
WHERE namespace = $1 AND closed_us IS NULL AND expires_us <= $2 ORDER BY number FOR UPDATE SKIP LOCKED;

-- name: renew_sessions
-- 1 namespace, 2 numbers, 3 expires
UPDATE aeterna.sessions SET expires_us = $3
WHERE number IN (SELECT number FROM aeterna.sessions
                 WHERE namespace = $1 AND number = ANY ($2::bigint[]) AND closed_us IS NULL
                 ORDER BY number FOR NO KEY UPDATE)
RETURNING number;

-- name: list_sessions
-- 1 namespace, 2 limit
SELECT number, host, pid, opened_us, closed_us, expires_us, name, about,
       (SELECT count(*) FROM aeterna.runs WHERE owner = sessions.number)
FROM aeterna.sessions WHERE namespace = $1 AND closed_us IS NULL ORDER BY number LIMIT $2;

-- name: forget_sessions
-- 1 namespace, 2 time, 3 limit. Those that ended before it: their numbers are never given again.
DELETE FROM aeterna.sessions
WHERE number IN (SELECT number FROM aeterna.sessions WHERE namespace = $1 AND closed_us < $2
                 ORDER BY closed_us, number LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING number;

-- name: forget_shares
-- 1 namespace, 2 time, 3 limit. Those served before it that have no unfinished run.
DELETE FROM aeterna.shares
WHERE (namespace, queue, share) IN (
    SELECT old.namespace, old.queue, old.share FROM aeterna.shares AS old
    WHERE old.namespace = $1 AND old.served_us < $2
      AND NOT EXISTS (SELECT 1 FROM aeterna.runs
                      WHERE runs.namespace = $1 AND runs.queue = old.queue AND runs.queue <> ''
                        AND runs.share = old.share AND runs.finished_us IS NULL)
    ORDER BY old.served_us, old.queue, old.share LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING share;

-- name: claimable
-- 1 namespace, 2 now, 3 crash limit, 4 names and 5 versions of workflows (NULL: all), 6 queues (NULL: all),
-- 7 capabilities. Whether there is something to claim: runs that have begun, and runs that have not.
SELECT
  EXISTS (SELECT 1 FROM aeterna.runs AS run
          WHERE run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL AND run.wake_us IS NULL
            AND run.state = 'RUNNING' AND $allowed)
  OR EXISTS (SELECT 1 FROM aeterna.runs AS run
             WHERE run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL
               AND run.wake_us IS NOT NULL AND run.wake_us <= $2 AND run.state = 'RUNNING' AND $allowed),
  EXISTS (SELECT 1 FROM aeterna.runs AS run
          WHERE run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL AND run.wake_us IS NULL
            AND run.state = 'PENDING' AND $allowed)
  OR EXISTS (SELECT 1 FROM aeterna.runs AS run
             WHERE run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL
               AND run.wake_us IS NOT NULL AND run.wake_us <= $2 AND run.state = 'PENDING' AND $allowed);

-- name: claim_begun
-- 1 to 7 as for claimable, 8 session, 9 limit. The oldest of those that have begun and are due; what another claim has
-- its hands on is passed over. Of those that wake up together, more than ten thousand are taken by their time first.
WITH live AS MATERIALIZED (
  SELECT number FROM aeterna.sessions WHERE namespace = $1 AND number = $8 AND closed_us IS NULL FOR KEY SHARE
), at_once AS MATERIALIZED (
  SELECT run.key FROM aeterna.runs AS run
  WHERE run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL AND run.wake_us IS NULL
    AND run.state = 'RUNNING' AND $allowed
  ORDER BY run.key LIMIT $9 FOR NO KEY UPDATE SKIP LOCKED
), woken AS MATERIALIZED (
  SELECT run.key FROM aeterna.runs AS run
  WHERE run.key IN (SELECT early.key FROM aeterna.runs AS early
                    WHERE early.namespace = $1 AND early.owner IS NULL AND early.finished_us IS NULL
                      AND early.wake_us IS NOT NULL AND early.wake_us <= $2 AND early.state = 'RUNNING'
                    ORDER BY early.wake_us LIMIT 10000)
    AND run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL AND run.wake_us <= $2
    AND run.state = 'RUNNING' AND $allowed
  ORDER BY run.key LIMIT $9 FOR NO KEY UPDATE SKIP LOCKED
), due AS MATERIALIZED (
  SELECT key FROM (SELECT key FROM at_once UNION ALL SELECT key FROM woken) AS either ORDER BY key LIMIT $9
)
UPDATE aeterna.runs AS run SET owner = live.number, epoch = run.epoch + 1, claimed_length = run.length,
  claimed_us = $2
FROM due, live WHERE run.key = due.key
RETURNING $run;

-- name: claimed
-- 1 namespace, 2 now, 3 session. What a claim of that time has taken whose answer was lost.
SELECT $run FROM aeterna.runs AS run
WHERE run.namespace = $1 AND run.owner = $3 AND run.owner IS NOT NULL AND run.claimed_us = $2
  AND run.finished_us IS NULL ORDER BY run.state = 'PENDING', run.key;

-- name: limited_queues
-- 1 namespace, 2 queues (NULL: all), 3 now. Locked until the claim is done, so that no two claims count at the same time.
SELECT name FROM aeterna.queues
WHERE namespace = $1 AND ($2::text[] IS NULL OR name = ANY ($2))
  AND (is_paused OR concurrency IS NOT NULL OR concurrency_per_share IS NOT NULL OR rate IS NOT NULL)
  AND (EXISTS (SELECT 1 FROM aeterna.runs AS run
               WHERE run.namespace = $1 AND run.queue = queues.name AND run.owner IS NULL AND run.finished_us IS NULL
                 AND run.wake_us IS NULL AND run.state = 'PENDING')
       OR EXISTS (SELECT 1 FROM aeterna.runs AS run
                  WHERE run.namespace = $1 AND run.queue = queues.name AND run.queue <> '' AND run.owner IS NULL
                    AND run.finished_us IS NULL AND run.wake_us <= $3 AND run.state = 'PENDING'))
ORDER BY name FOR NO KEY UPDATE;

-- name: choose_starts
-- 1 to 7 as for claimable, 8 limit, 9 the queues that are locked. The keys of the runs that start, in their order, as
-- `core.fairness` decides it; see there. A queue with limits that is not locked starts nothing this time.
WITH RECURSIVE places AS (
  (SELECT queue, priority, share FROM aeterna.runs
   WHERE namespace = $1 AND owner IS NULL AND finished_us IS NULL AND wake_us IS NULL AND state = 'PENDING'
   ORDER BY queue, priority, share LIMIT 1)
  UNION ALL
  SELECT further.queue, further.priority, further.share
  FROM places CROSS JOIN LATERAL (
    SELECT queue, priority, share FROM aeterna.runs
    WHERE namespace = $1 AND owner IS NULL AND finished_us IS NULL AND wake_us IS NULL AND state = 'PENDING'
      AND (queue, priority, share) > (places.queue, places.priority, places.share)
    ORDER BY queue, priority, share LIMIT 1) AS further
), woken AS (
  SELECT key, queue, priority, share, workflow, version, requires, crashes FROM aeterna.runs
  WHERE namespace = $1 AND owner IS NULL AND finished_us IS NULL AND wake_us IS NOT NULL AND wake_us <= $2
    AND state = 'PENDING'
  ORDER BY wake_us LIMIT 10000
), candidates AS MATERIALIZED (
  SELECT first.key, places.queue, places.priority, places.share
  FROM places CROSS JOIN LATERAL (
    SELECT run.key FROM aeterna.runs AS run
    WHERE run.namespace = $1 AND run.owner IS NULL AND run.finished_us IS NULL AND run.wake_us IS NULL
      AND run.state = 'PENDING' AND run.queue = places.queue AND run.priority = places.priority
      AND run.share = places.share AND $allowed
    ORDER BY run.key LIMIT $8) AS first
  WHERE places.queue = '' OR $6::text[] IS NULL OR places.queue = ANY ($6)
  UNION ALL
  SELECT run.key, run.queue, run.priority, run.share FROM woken AS run WHERE $allowed
), queues AS MATERIALIZED (
  SELECT name, concurrency_per_share,
         CASE WHEN is_paused OR NOT name = ANY ($9::text[]) THEN 0 ELSE least(
           concurrency - (SELECT count(*) FROM aeterna.runs
                          WHERE namespace = $1 AND queue = limited.name AND queue <> '' AND finished_us IS NULL
                            AND (state = 'RUNNING' OR owner IS NOT NULL)),
           CASE WHEN rate IS NOT NULL THEN greatest(
             burst - (greatest(tat_us - $2, 0) + spacing_us - 1) / spacing_us, 0) END) END AS room
  FROM (SELECT queue.*, greatest((rate_period_us + rate - 1) / rate, 1) AS spacing_us FROM aeterna.queues AS queue
        WHERE namespace = $1
          AND (is_paused OR concurrency IS NOT NULL OR concurrency_per_share IS NOT NULL OR rate IS NOT NULL)) AS limited
), running AS MATERIALIZED (
  SELECT runs.queue, runs.share, count(*) AS runs FROM queues JOIN aeterna.runs ON runs.queue = queues.name
  WHERE queues.concurrency_per_share IS NOT NULL AND runs.namespace = $1 AND runs.queue <> ''
    AND runs.finished_us IS NULL AND (runs.state = 'RUNNING' OR runs.owner IS NOT NULL)
  GROUP BY runs.queue, runs.share
), turns AS (
  SELECT candidates.*, coalesce(served_us, 0) AS served_us,
         row_number() OVER (PARTITION BY candidates.queue, priority, candidates.share ORDER BY key) AS turn
  FROM candidates
  LEFT JOIN aeterna.shares ON shares.namespace = $1 AND shares.queue = candidates.queue
    AND shares.share = candidates.share AND candidates.queue <> ''
), placed AS (
  SELECT turns.*, row_number() OVER (PARTITION BY queue, priority ORDER BY turn, served_us, key) AS place FROM turns
), by_share AS (
  SELECT placed.*, row_number() OVER (PARTITION BY queue, share ORDER BY priority, place, key) AS of_share FROM placed
), by_queue AS (
  SELECT by_share.*, queues.room, row_number() OVER (PARTITION BY by_share.queue ORDER BY priority, place, key) AS of_queue
  FROM by_share
  LEFT JOIN queues ON queues.name = by_share.queue
  LEFT JOIN running ON running.queue = by_share.queue AND running.share = by_share.share
  WHERE queues.concurrency_per_share IS NULL OR of_share <= queues.concurrency_per_share - coalesce(running.runs, 0)
)
SELECT key FROM by_queue WHERE room IS NULL OR of_queue <= room ORDER BY priority, place, key LIMIT $8;

-- name: start_runs
-- 1 namespace, 2 session, 3 keys, 4 now. What another claim has taken meanwhile is passed over.
WITH live AS MATERIALIZED (
  SELECT number FROM aeterna.sessions WHERE namespace = $1 AND number = $2 AND closed_us IS NULL FOR KEY SHARE
), free AS MATERIALIZED (
  SELECT key FROM aeterna.runs
  WHERE key = ANY ($3::bigint[]) AND owner IS NULL AND finished_us IS NULL AND state = 'PENDING'
  ORDER BY key FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE aeterna.runs AS run SET owner = live.number, epoch = run.epoch + 1, claimed_length = run.length,
  claimed_us = $4
FROM free, live WHERE run.key = free.key
RETURNING $run;

-- name: mark_served
-- 1 namespace, 2 now; one per share: 3 queue, 4 share
INSERT INTO aeterna.shares (namespace, queue, share, served_us)
SELECT $1, queue, share, $2 FROM unnest($3::text[], $4::text[]) AS served (queue, share) ORDER BY queue, share
ON CONFLICT (namespace, queue, share) DO UPDATE SET served_us = excluded.served_us;

-- name: mark_started
-- 1 namespace, 2 now; one per queue: 3 name, 4 how many runs of it started
UPDATE aeterna.queues SET
  tat_us = greatest(tat_us, $2) + started.runs * greatest((rate_period_us + rate - 1) / rate, 1)
FROM unnest($3::text[], $4::bigint[]) AS started (name, runs)
WHERE queues.namespace = $1 AND queues.name = started.name AND queues.rate IS NOT NULL;

-- name: claim_run
-- 1 namespace, 2 session, 3 id, 4 whether it is taken from whoever owns it, whatever it has crashed
WITH live AS MATERIALIZED (
  SELECT number FROM aeterna.sessions WHERE namespace = $1 AND number = $2 AND closed_us IS NULL FOR KEY SHARE
)
UPDATE aeterna.runs AS run SET owner = live.number, epoch = run.epoch + 1, claimed_length = run.length, claimed_us = NULL,
  crashes = CASE WHEN $4::boolean THEN 0 ELSE run.crashes END
FROM live
WHERE run.namespace = $1 AND run.id = $3 AND run.finished_us IS NULL
  AND ($4::boolean OR run.owner IS NULL OR run.owner = $2)
RETURNING $run;
