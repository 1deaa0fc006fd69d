-- The schema, readable top to bottom. Times are microseconds since 1970 (UTC).

-- Names given a small number once, so that rows and indexes hold the number.
CREATE TABLE namespaces (
    key   INTEGER PRIMARY KEY,
    name  TEXT NOT NULL UNIQUE
) STRICT;

-- One row per session: a process that executes runs. Numbers are never used again, hence AUTOINCREMENT.
CREATE TABLE sessions (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    opened_us  INTEGER NOT NULL,
    closed_us  INTEGER            -- NULL while the session lives
) STRICT;

-- One row per run. A step does not touch it: how long a history is follows from the segments.
CREATE TABLE runs (
    key          INTEGER PRIMARY KEY,  -- given by the writing process, rising: the order of creation
    namespace    INTEGER NOT NULL,     -- namespaces.key
    id           TEXT NOT NULL,
    workflow     TEXT NOT NULL,
    version      TEXT NOT NULL,
    state        TEXT NOT NULL,        -- PENDING -> RUNNING -> COMPLETED | FAILED | CANCELLED; PENDING -> CANCELLED
    detail       TEXT NOT NULL,        -- what an unfinished run is doing; '' for a finished one
    epoch        INTEGER NOT NULL,     -- fencing number: rises with each claim, named by each append
    owner        INTEGER,              -- sessions.number, always of a live session; NULL: nobody executes the run
    created_us   INTEGER NOT NULL,
    updated_us   INTEGER NOT NULL,     -- when this row last changed by an append
    finished_us  INTEGER,              -- NULL while the state is PENDING or RUNNING
    wake_us      INTEGER,              -- not to be claimed before; NULL: at once
    parent       TEXT,                 -- id of the run that started this one
    note         TEXT NOT NULL,        -- why it is stuck, in words
    UNIQUE (namespace, id)
) STRICT;

-- Claims, wake-ups and the recovery of what a dead session owned look at unfinished runs only, however many are finished.
CREATE INDEX runs_unfinished ON runs (namespace, owner, wake_us) WHERE finished_us IS NULL;

-- Retention looks at finished runs, oldest first.
CREATE INDEX runs_finished ON runs (namespace, finished_us) WHERE finished_us IS NOT NULL;

-- A run is deleted with its descendants. Runs without a parent are not in it, and cost nothing.
CREATE INDEX runs_children ON runs (namespace, parent) WHERE parent IS NOT NULL;

-- Histories, append-only: one row per append, which holds the events number seq, seq + 1, ... seq + events - 1.
CREATE TABLE segments (
    run     INTEGER NOT NULL,          -- runs.key
    seq     INTEGER NOT NULL,          -- number of the first event in body; a run's first event is 0
    events  INTEGER NOT NULL,          -- how many events body holds, at least 1
    body    BLOB NOT NULL,             -- one version byte, then the events in msgpack
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;
