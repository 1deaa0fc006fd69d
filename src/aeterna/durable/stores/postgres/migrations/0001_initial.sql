-- The schema, readable top to bottom. Times are microseconds since 1970 (UTC). Texts sort by code point, whatever the
-- database's locale, and hold no NUL: the store writes that as U+001A and '0'.

-- Names given a small number once, so that rows and indexes hold the number.
CREATE TABLE aeterna.namespaces (
    key   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text COLLATE "C" NOT NULL UNIQUE
);

-- One row per session: a process that executes runs. Whoever makes a session the owner of a run locks its row FOR KEY
-- SHARE, whoever ends it FOR UPDATE: so no run is given to a session that has just ended.
CREATE TABLE aeterna.sessions (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace   integer NOT NULL,
    host        text NOT NULL,
    pid         bigint NOT NULL,
    opened_us   bigint NOT NULL,
    closed_us   bigint,           -- NULL while the session lives
    expires_us  bigint,           -- the end of its lease; NULL: it has none
    name        text NOT NULL,
    about       text NOT NULL     -- what its worker says of itself, JSON
);

CREATE INDEX sessions_live ON aeterna.sessions (namespace, expires_us) WHERE closed_us IS NULL;

-- One row per run. Every append goes through it: the update that lengthens the history is the fence. Room is left in
-- each page, so that the new version of a row finds place beside the old one and touches no index.
CREATE TABLE aeterna.runs (
    key             bigint PRIMARY KEY,   -- from run_keys, rising: the order of creation, never used again
    namespace       integer NOT NULL,     -- namespaces.key
    day             integer NOT NULL,     -- days since 1970 when it was created: where its events lie
    id              text COLLATE "C" NOT NULL,
    workflow        text COLLATE "C" NOT NULL,
    version         text COLLATE "C" NOT NULL,
    state           text COLLATE "C" NOT NULL,  -- PENDING -> RUNNING -> COMPLETED | FAILED | CANCELLED
    detail          text COLLATE "C" NOT NULL,  -- what an unfinished run is doing; '' for a finished one
    length          integer NOT NULL,     -- how many events its history holds
    epoch           bigint NOT NULL,      -- fencing number: rises with each claim, named by each append
    owner           bigint,               -- sessions.number, always of a live session; NULL: nobody executes the run
    claimed_length  integer NOT NULL,     -- its length when it was claimed
    claimed_us      bigint,               -- the time that its claim named; NULL: it was taken by its id
    crashes         integer NOT NULL,     -- how many owners in a row died and had recorded nothing
    created_us      bigint NOT NULL,
    updated_us      bigint NOT NULL,      -- when this row last changed by an append
    finished_us     bigint,               -- NULL while the state is PENDING or RUNNING
    wake_us         bigint,               -- not to be claimed before; NULL: at once
    parent          text COLLATE "C",     -- id of the run that started this one
    note            text NOT NULL,        -- why it is stuck, in words
    queue           text COLLATE "C" NOT NULL,
    priority        bigint NOT NULL,
    share           text COLLATE "C" NOT NULL,
    requires        text[] NOT NULL,      -- capabilities its worker must have
    singleton       text COLLATE "C",     -- at most one unfinished run has it
    messages        integer NOT NULL,     -- the number of its latest message
    signals         integer NOT NULL,     -- signals in its inbox that no event records
    orders          integer NOT NULL,     -- the other messages of that kind
    UNIQUE (namespace, id)
) WITH (fillfactor = 70);

CREATE SEQUENCE aeterna.run_keys;

CREATE UNIQUE INDEX runs_singleton ON aeterna.runs (namespace, singleton)
    WHERE finished_us IS NULL AND singleton IS NOT NULL;

-- Claims: runs that nobody owns. Those that may go on at once, those that may start at once, those that sleep.
CREATE INDEX runs_begun ON aeterna.runs (namespace, key)
    WHERE owner IS NULL AND finished_us IS NULL AND wake_us IS NULL AND state = 'RUNNING';
CREATE INDEX runs_waiting ON aeterna.runs (namespace, queue, priority, share, key)
    WHERE owner IS NULL AND finished_us IS NULL AND wake_us IS NULL AND state = 'PENDING';
CREATE INDEX runs_sleeping ON aeterna.runs (namespace, wake_us)
    WHERE owner IS NULL AND finished_us IS NULL AND wake_us IS NOT NULL;

-- What a session owns, and what of that has messages.
CREATE INDEX runs_owned ON aeterna.runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_unread ON aeterna.runs (owner) WHERE owner IS NOT NULL AND signals + orders > 0;

-- Runs that keep killing their workers.
CREATE INDEX runs_crashed ON aeterna.runs (namespace, key) WHERE crashes > 0 AND finished_us IS NULL;

-- Limits of queues count what has started and not ended.
CREATE INDEX runs_queued ON aeterna.runs (namespace, queue, share)
    WHERE finished_us IS NULL AND queue <> '';

-- Retention looks at finished runs, oldest first.
CREATE INDEX runs_finished ON aeterna.runs (namespace, finished_us) WHERE finished_us IS NOT NULL;

-- A run is deleted with its descendants. Runs without a parent are not in it, and cost nothing.
CREATE INDEX runs_children ON aeterna.runs (namespace, parent) WHERE parent IS NOT NULL;

-- Whether a partition of the events is still needed.
CREATE INDEX runs_day ON aeterna.runs (day);

-- Histories, append-only: one row per append, which holds the events number seq, seq + 1, ... seq + events - 1.
--
-- All events of a run lie in the partition of the day on which the run was created, so that a history is read from one
-- partition, and one whose runs are all gone is dropped as a whole. What no partition is there for lies in events_other,
-- where it is found as well.
CREATE TABLE aeterna.events (
    day     integer NOT NULL,      -- runs.day
    run     bigint NOT NULL,       -- runs.key
    seq     integer NOT NULL,      -- number of the first event in body; a run's first event is 0
    events  integer NOT NULL,      -- how many events body holds, at least 1
    body    bytea NOT NULL,        -- one version byte, then the events in msgpack
    PRIMARY KEY (day, run, seq)
)
PARTITION BY RANGE (day) -- not distributed
;
CREATE TABLE aeterna.events_other PARTITION OF aeterna.events DEFAULT; -- not distributed

-- Messages to runs. What an event records is marked as read and stays, without its payload, for as long as its run, so
-- that the same message is known when it comes again.
CREATE TABLE aeterna.inbox (
    run      bigint NOT NULL,      -- runs.key
    number   integer NOT NULL,     -- from 1
    id       text COLLATE "C" NOT NULL,
    kind     text COLLATE "C" NOT NULL,  -- signal, cancel, pause, resume
    name     text NOT NULL,
    payload  bytea,                -- NULL: an event records it
    at_us    bigint NOT NULL,
    PRIMARY KEY (run, number)
);

CREATE UNIQUE INDEX inbox_ids ON aeterna.inbox (run, id) WHERE id <> '';

-- Queues that were given limits. Claims lock the rows of those they start runs of.
CREATE TABLE aeterna.queues (
    namespace              integer NOT NULL,
    name                   text COLLATE "C" NOT NULL,
    concurrency            bigint,
    concurrency_per_share  bigint,
    rate                   bigint,
    rate_period_us         bigint NOT NULL,
    burst                  bigint NOT NULL,
    is_paused              boolean NOT NULL,
    tat_us                 bigint NOT NULL DEFAULT 0,  -- when the next start would be due if they came evenly
    PRIMARY KEY (namespace, name)
);

-- When the shares of queues were served last.
CREATE TABLE aeterna.shares (
    namespace  integer NOT NULL,
    queue      text COLLATE "C" NOT NULL,
    share      text COLLATE "C" NOT NULL,
    served_us  bigint NOT NULL,
    PRIMARY KEY (namespace, queue, share)
);

CREATE TABLE aeterna.schedules (
    namespace  integer NOT NULL,
    id         text COLLATE "C" NOT NULL,
    spec       text NOT NULL,      -- JSON
    next_us    bigint,             -- NULL: never
    is_paused  boolean NOT NULL,
    last_run   text NOT NULL,
    PRIMARY KEY (namespace, id)
);

CREATE TABLE aeterna.tokens (
    hash        bytea PRIMARY KEY,
    namespace   text NOT NULL,     -- '*': all
    role        text NOT NULL,
    created_us  bigint NOT NULL,
    note        text NOT NULL
);
