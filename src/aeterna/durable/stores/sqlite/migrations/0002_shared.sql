-- Runs that wait in queues, sessions with leases, messages to runs, schedules and tokens.

ALTER TABLE sessions ADD COLUMN expires_us INTEGER;             -- end of the lease; NULL: as long as the store is open
ALTER TABLE sessions ADD COLUMN name TEXT NOT NULL DEFAULT '';  -- what the worker calls itself
ALTER TABLE sessions ADD COLUMN about TEXT NOT NULL DEFAULT '{}';

ALTER TABLE runs ADD COLUMN queue TEXT NOT NULL DEFAULT '';     -- '': none
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN share TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN requires TEXT NOT NULL DEFAULT '';  -- JSON array of capabilities; '': none
ALTER TABLE runs ADD COLUMN singleton TEXT;
ALTER TABLE runs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN claimed_length INTEGER NOT NULL DEFAULT 0;  -- of the history, when its owner took the run
ALTER TABLE runs ADD COLUMN posted INTEGER NOT NULL DEFAULT 0;          -- number of the last message

-- What could start, in the order in which shares are looked at.
CREATE INDEX runs_waiting ON runs (namespace, queue, priority, share)
  WHERE state = 'PENDING' AND owner IS NULL AND finished_us IS NULL;

-- What takes the places of queues.
CREATE INDEX runs_queued ON runs (namespace, queue, share) WHERE finished_us IS NULL AND queue <> '';

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
