-- The checks of these tables in other words, which say the same. For `x IN (…)` with more than two values SQLite makes
-- a table of its own and drops it, for every row that is written; comparisons cost nothing.

DROP VIEW attempts;
ALTER TABLE attempt RENAME TO attempt_before;
ALTER TABLE result RENAME TO result_before;
ALTER TABLE refused RENAME TO refused_before;

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
    outcome  TEXT CHECK (outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'throttled' OR outcome = 'not_sent'
                         OR outcome = 'in_doubt' OR outcome = 'interrupted'),
    class    TEXT CHECK (class = 'transient' OR class = 'throttled' OR class = 'quota' OR class = 'auth'
                         OR class = 'rejected' OR class = 'bad_response' OR class = 'input' OR class = 'local'),
    kind     TEXT,
    status   INTEGER,
    message  TEXT,
    -- The beginning of an error's body.
    body     BLOB,
    PRIMARY KEY (job, number),
    CHECK ((ended IS NULL) = (outcome IS NULL)),
    CHECK (class IS NULL OR outcome <> 'succeeded')
) STRICT, WITHOUT ROWID;

CREATE TABLE result (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    attempt    INTEGER NOT NULL,
    media_type TEXT,
    body       BLOB NOT NULL,
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    -- The answer's headers as a JSON object, kept where the run's expressions ask for them.
    headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
    -- Where the body lies in a file instead of here: the file's path, and its size in bytes. The body is empty then.
    file       ANY CHECK (file IS NULL OR typeof(file) = 'text' OR typeof(file) = 'blob'),
    size       INTEGER CHECK (size >= 0),
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;

CREATE TABLE refused (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    attempt    INTEGER NOT NULL,
    media_type TEXT,
    headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
    body       BLOB NOT NULL,
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;

INSERT INTO attempt
SELECT job, number, runner, chunk, key, started, ended, took, outcome, class, kind, status, message, body
FROM attempt_before;
INSERT INTO result SELECT job, attempt, media_type, body, sha256, headers, file, size FROM result_before;
INSERT INTO refused SELECT job, attempt, media_type, headers, body FROM refused_before;

DROP TABLE refused_before;
DROP TABLE result_before;
DROP TABLE attempt_before;

CREATE VIEW attempts (path, position, number, chunk, runner, outcome, class, status, idempotency_key, started, ended) AS
SELECT job.path, job.position, attempt.number, attempt.chunk, attempt.runner, attempt.outcome, attempt.class, attempt.status,
       lower(substr(hex(attempt.key), 1, 8) || '-' || substr(hex(attempt.key), 9, 4) || '-' ||
             substr(hex(attempt.key), 13, 4) || '-' || substr(hex(attempt.key), 17, 4) || '-' ||
             substr(hex(attempt.key), 21)),
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.started / 1000.0, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.ended / 1000.0, 'unixepoch')
FROM attempt JOIN job ON job.id = attempt.job;
