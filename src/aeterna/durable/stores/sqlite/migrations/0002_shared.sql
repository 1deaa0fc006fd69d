-- Runs that wait in queues, sessions with leases, messages to runs, schedules and tokens.

-- The process that had the file before is gone, and with it what it had in hand.
UPDATE sessions SET closed_us = opened_us WHERE closed_us IS NULL;
UPDATE runs SET owner = NULL WHERE finished_us IS NULL AND owner IS NOT NULL;

ALTER TABLE sessions ADD COLUMN namespace INTEGER NOT NULL DEFAULT 0;  -- namespaces.key
ALTER TABLE sessions ADD COLUMN expires_us INTEGER;             -- end of the lease; NULL: as long as the store is open
ALTER TABLE sessions ADD COLUMN name TEXT NOT NULL DEFAULT '';  -- what the worker calls itself
ALTER TABLE sessions ADD COLUMN about TEXT NOT NULL DEFAULT '{}';

-- However many sessions there have been.
CREATE INDEX sessions_live ON sessions (namespace) WHERE closed_us IS NULL;

ALTER TABLE runs ADD COLUMN queue TEXT NOT NULL DEFAULT '';     -- '': none
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN share TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN requires TEXT NOT NULL DEFAULT '';  -- JSON array of capabilities; '': none
ALTER TABLE runs ADD COLUMN singleton TEXT;
ALTER TABLE runs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN claimed_length INTEGER NOT NULL DEFAULT 0;  -- of the history, when its owner took the run
ALTER TABLE runs ADD COLUMN posted INTEGER NOT NULL DEFAULT 0;          -- number of the last message

-- What has begun and could go on, however many wait for their start.
CREATE INDEX runs_begun ON runs (namespace, wake_us)
  WHERE state = 'RUNNING' AND owner IS NULL AND finished_us IS NULL;

-- What could start, share by share, without those whose time has not come.
CREATE INDEX runs_waiting ON runs (namespace, queue, priority, share, wake_us)
  WHERE state = 'PENDING' AND owner IS NULL AND finished_us IS NULL;

-- What takes the places of queues, however many runs wait for one.
CREATE INDEX runs_placed ON runs (namespace, queue, share)
  WHERE finished_us IS NULL AND queue <> '' AND (state = 'RUNNING' OR owner IS NOT NULL);

-- All that is in queues, with what counting needs.
CREATE INDEX runs_queued ON runs (namespace, queue, share, state, owner, created_us)
  WHERE finished_us IS NULL AND queue <> '';

-- What may be poison.
CREATE INDEX runs_crashed ON runs (namespace) WHERE crashes > 0 AND finished_us IS NULL;

CREATE UNIQUE INDEX runs_singleton ON runs (namespace, singleton) WHERE finished_us IS NULL AND singleton IS NOT NULL;

-- Messages that no history holds yet.
CREATE TABLE inbox (
    run      INTEGER NOT NULL,         -- runs.key
    number   INTEGER NOT NULL,         -- rises from 1 in each run, and is never used again
    id       TEXT NOT NULL,
    kind     TEXT NOT NULL,
    name     TEXT NOT NULL,
    payload  BLOB NOT NULL,
    at_us    INTEGER NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- Ids of messages, kept as long as the run, so that a repeated one is known.
CREATE TABLE message_ids (
    run     INTEGER NOT NULL,
    id      TEXT NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (run, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE queues (
    namespace              INTEGER NOT NULL,
    name                   TEXT NOT NULL,
    concurrency            INTEGER,    -- NULL: no limit, here and below
    concurrency_per_share  INTEGER,
    rate                   INTEGER,
    rate_period_us         INTEGER NOT NULL,
    burst                  INTEGER NOT NULL,
    is_paused              INTEGER NOT NULL,
    tat_us                 INTEGER NOT NULL DEFAULT 0,  -- theoretical arrival time of the rate limit
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- When a share of a queue was served last.
CREATE TABLE shares (
    namespace  INTEGER NOT NULL,
    queue      TEXT NOT NULL,
    share      TEXT NOT NULL,
    served_us  INTEGER NOT NULL,
    PRIMARY KEY (namespace, queue, share)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (
    namespace  INTEGER NOT NULL,
    id         TEXT NOT NULL,
    spec       TEXT NOT NULL,          -- JSON
    next_us    INTEGER,                -- NULL: never
    is_paused  INTEGER NOT NULL,
    last_run   TEXT NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    hash        BLOB PRIMARY KEY,
    namespace   TEXT NOT NULL,         -- '*': all
    role        TEXT NOT NULL,
    created_us  INTEGER NOT NULL,
    note        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
