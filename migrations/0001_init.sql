-- One database holds one run. Times are milliseconds since 1970-01-01 00:00 UTC.

-- The run: one row.
CREATE TABLE run (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    uuid     BLOB NOT NULL CHECK (length(uuid) = 16),
    created  INTEGER NOT NULL,
    -- The folder against which names resolve; relative to the database's own folder where it lies below it.
    base     BLOB NOT NULL,
    -- What a call is, and the free settings, as JSON. Neither holds a secret.
    call     TEXT NOT NULL CHECK (json_valid(call)),
    settings TEXT NOT NULL CHECK (json_valid(settings)),
    -- The token of the runner that may write; every transaction of a runner checks it.
    owner    BLOB
) STRICT;

-- Every invocation that worked on the run.
CREATE TABLE runner (
    id      INTEGER PRIMARY KEY,
    pid     INTEGER NOT NULL,
    host    TEXT NOT NULL,
    threads INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended   INTEGER,
    -- 'finished', 'stopped', 'panicked', 'storage'; 'died' is what a later runner found.
    ending  TEXT,
    CHECK ((ended IS NULL) = (ending IS NULL))
) STRICT;

-- The queue. A job's identity is its name: text where it is UTF-8, a blob where it is not, so that the usual
-- names can be read and compared in any SQL shell.
CREATE TABLE job (
    id         INTEGER PRIMARY KEY,
    position   INTEGER NOT NULL CHECK (position >= 0),
    path       ANY NOT NULL CHECK (typeof(path) IN ('text', 'blob') AND length(path) > 0),
    -- 0 pending, 1 running, 2 done, 3 failed, 4 held.
    state      INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
    -- Not to be called before this moment.
    not_before INTEGER CHECK (not_before IS NULL OR state = 0),
    -- The number of the last attempt.
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- Attempts counted against the job, and crashes during its calls, since it was last made pending by hand.
    charged    INTEGER NOT NULL DEFAULT 0,
    crashes    INTEGER NOT NULL DEFAULT 0,
    -- Definite answers ever; together with the job's id it makes the idempotency key.
    generation INTEGER NOT NULL DEFAULT 0,
    CHECK (attempts > 0 OR state = 0)
) STRICT;

CREATE UNIQUE INDEX job_path ON job (path);
CREATE UNIQUE INDEX job_position ON job (position);
-- All that is not done, in list order within each state: what is pending, what runs, what failed.
CREATE INDEX job_open ON job (state, position) WHERE state <> 2;

-- Every call that was ever about to be sent. The row is durable before the first byte leaves.
CREATE TABLE attempt (
    job      INTEGER NOT NULL REFERENCES job (id),
    number   INTEGER NOT NULL CHECK (number > 0),
    runner   INTEGER NOT NULL REFERENCES runner (id),
    chunk    INTEGER NOT NULL,
    key      BLOB NOT NULL CHECK (length(key) = 16),
    started  INTEGER NOT NULL,
    ended    INTEGER,
    -- How long the call took, in milliseconds, by a clock that does not jump.
    took     INTEGER,
    outcome  TEXT CHECK (outcome IN ('succeeded', 'failed', 'throttled', 'not_sent', 'in_doubt', 'interrupted')),
    class    TEXT CHECK (class IN ('transient', 'throttled', 'quota', 'auth', 'rejected', 'bad_response', 'input', 'local')),
    kind     TEXT,
    status   INTEGER,
    message  TEXT,
    -- The beginning of an error's body.
    body     BLOB,
    PRIMARY KEY (job, number),
    CHECK ((ended IS NULL) = (outcome IS NULL)),
    CHECK (class IS NULL OR outcome <> 'succeeded')
) STRICT, WITHOUT ROWID;

-- One result for each job that is done, as received.
CREATE TABLE result (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    attempt    INTEGER NOT NULL,
    media_type TEXT,
    body       BLOB NOT NULL,
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;

-- The counts, kept with every change so that nobody has to count ten million rows: one row.
CREATE TABLE tally (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    pending            INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    running            INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    done               INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    failed             INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    held               INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    attempts           INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    in_doubt           INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt >= 0),
    in_doubt_recovered INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt_recovered >= 0)
) STRICT;

-- Files that stride wrote for this run (exports, events), so that a walk does not take them for input.
CREATE TABLE artifact (
    path BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- For people and other programs; stable.
CREATE VIEW attempts (path, position, number, chunk, runner, outcome, class, status, idempotency_key, started, ended) AS
SELECT job.path, job.position, attempt.number, attempt.chunk, attempt.runner, attempt.outcome, attempt.class, attempt.status,
       lower(substr(hex(attempt.key), 1, 8) || '-' || substr(hex(attempt.key), 9, 4) || '-' ||
             substr(hex(attempt.key), 13, 4) || '-' || substr(hex(attempt.key), 17, 4) || '-' ||
             substr(hex(attempt.key), 21)),
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.started / 1000.0, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.ended / 1000.0, 'unixepoch')
FROM attempt JOIN job ON job.id = attempt.job;
