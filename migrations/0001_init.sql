-- One database holds one run. Times are milliseconds since 1970-01-01 00:00 UTC.

-- The run: one row.
CREATE TABLE run (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    uuid     BLOB NOT NULL CHECK (length(uuid) = 16),
    created  INTEGER NOT NULL,
    -- The folder against which names resolve. If it is below the database's own folder, it is relative to that.
    base     BLOB NOT NULL,
    -- The call and the free settings, as JSON. Neither contains a secret.
    call     TEXT NOT NULL CHECK (json_valid(call)),
    settings TEXT NOT NULL CHECK (json_valid(settings)),
    -- The number of the present call's request.
    request  INTEGER NOT NULL DEFAULT 1,
    -- The token of the runner that may write. Each of its transactions checks it.
    owner    BLOB
) STRICT;

-- Requests that the run had before, as calls, so that one that comes back is known with its results.
CREATE TABLE earlier_request (
    id   INTEGER PRIMARY KEY,
    call TEXT NOT NULL CHECK (json_valid(call))
) STRICT;

-- Every invocation that worked on the run.
CREATE TABLE runner (
    id      INTEGER PRIMARY KEY,
    pid     INTEGER NOT NULL,
    host    TEXT NOT NULL,
    threads INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended   INTEGER,
    -- 'finished', 'stopped', 'panicked', 'storage'; a later runner notes 'died'.
    ending  TEXT,
    -- The reason of an early stop, one of: credentials, quota, certificate, name, proxy, redirect,
    -- missing_files, rejected, failures, outage, wait, max_calls, max_duration, max_cost, until.
    stopped        TEXT,
    -- The way out: wait, raise or fix.
    stopped_action TEXT,
    -- The moment until which the service asked to wait.
    stopped_until  INTEGER,
    -- The last failure in the service's own words, without secrets.
    stopped_words  TEXT,
    -- The number of the request of its calls.
    request        INTEGER NOT NULL DEFAULT 1,
    CHECK ((ended IS NULL) = (ending IS NULL))
) STRICT;

-- The list: a row never changes after loading. The id is the position in the list, from 0, without gaps. A job's identity
-- is its name: text if it is UTF-8, so that any SQL shell can show and compare it, else a blob.
CREATE TABLE job (
    id   INTEGER PRIMARY KEY CHECK (id >= 0),
    path ANY NOT NULL CHECK (typeof(path) IN ('text', 'blob') AND length(path) > 0),
    -- The shortest spelling of the name, without `./` and `//`, if it is another and the call reads the file. It is the
    -- identity then, so that a file has one job.
    plain ANY CHECK (plain IS NULL OR typeof(plain) IN ('text', 'blob') AND length(plain) > 0)
) STRICT;

CREATE UNIQUE INDEX job_path ON job (coalesce(plain, path));

-- The rows of `--pool` that sessions have used. A run without a pool has none.
CREATE TABLE lane (
    number   INTEGER PRIMARY KEY CHECK (number > 0),
    -- A hash of the row's name, or of the values of a row without one, keyed with the run's UUID.
    identity BLOB NOT NULL UNIQUE CHECK (length(identity) = 16),
    -- The only value of a row that is stored.
    name     TEXT,
    -- The latest session's pool has the row.
    present  INTEGER NOT NULL DEFAULT 1,
    -- The account's limits and waits, as in `limiter_state`.
    closed_until  INTEGER,
    found_rate    REAL CHECK (found_rate > 0),
    found_at_once INTEGER CHECK (found_at_once > 0),
    proven   INTEGER NOT NULL DEFAULT 0,
    -- Calls that were perhaps sent, and their results.
    calls    INTEGER NOT NULL DEFAULT 0,
    results  INTEGER NOT NULL DEFAULT 0,
    -- Why the latest session stopped to use the row, as in `runner`, and the last failure in the service's words.
    stopped  TEXT,
    stopped_words TEXT
) STRICT;

-- The queue: one narrow row for each job, which claims and settlements update.
CREATE TABLE work (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    -- 0 pending, 1 running, 2 done, 3 failed, 4 held, 5 forgotten: taken off the run, 6 waiting: its first request was
    -- answered, and a later one is to be made.
    state      INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 6),
    -- The earliest moment of the next call.
    not_before INTEGER CHECK (CASE state WHEN 0 THEN TRUE WHEN 6 THEN not_before IS NOT NULL ELSE not_before IS NULL END),
    -- The number of the last attempt.
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- Attempts counted against the job, and crashes during its calls, since `stride retry` last made it pending.
    charged    INTEGER NOT NULL DEFAULT 0,
    crashes    INTEGER NOT NULL DEFAULT 0,
    -- Number of definite answers and of changes of a call in doubt so far. The idempotency key depends on it and on the job's id.
    generation INTEGER NOT NULL DEFAULT 0,
    -- The job failed for good before `stride retry` made it pending, so its failures say nothing about the service.
    failed_before INTEGER NOT NULL DEFAULT 0,
    -- The lane of the next call, because the service knows the key or the handle there. NULL: any lane.
    lane       INTEGER REFERENCES lane (number),
    CHECK (attempts > 0 OR state = 0 OR state = 5)
) STRICT;

-- Jobs that are not done, in list order within each state, because an index ends with the row's key.
CREATE INDEX work_open ON work (state) WHERE state <> 2;
-- Waiting jobs, by the moment of their next step.
CREATE INDEX work_due ON work (not_before) WHERE state = 6;
-- Open jobs that are bound to a lane, in the order of their next calls.
CREATE INDEX work_bound ON work (lane, coalesce(not_before, 0)) WHERE lane IS NOT NULL AND (state = 0 OR state = 6);
-- Jobs that may kill their process. It has few rows.
CREATE INDEX work_may_kill ON work (job) WHERE crashes >= 2;

-- Forgotten jobs and what `stride forget --undo` restores. Their results stay in `result`.
CREATE TABLE forgotten (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    state      INTEGER NOT NULL CHECK (state = 0 OR state BETWEEN 2 AND 4 OR state = 6),
    not_before INTEGER CHECK (CASE state WHEN 0 THEN TRUE WHEN 6 THEN not_before IS NOT NULL ELSE not_before IS NULL END)
) STRICT;

-- How far the jobs are that take several steps, from the first answer on. The row stays when the job fails, because it
-- may go on from here.
CREATE TABLE progress (
    job   INTEGER PRIMARY KEY REFERENCES job (id),
    -- The index of the next step, from 0.
    step  INTEGER NOT NULL CHECK (step >= 0),
    kind  TEXT NOT NULL CHECK (kind = 'write' OR kind = 'read' OR kind = 'poll'),
    -- When it became the next one.
    since INTEGER NOT NULL,
    -- Number of its answers so far that said "not ready".
    asked INTEGER NOT NULL DEFAULT 0 CHECK (asked >= 0),
    CHECK (step > 0 OR kind = 'poll')
) STRICT;

-- Further columns of a list that is a table, as a JSON object from column to value.
CREATE TABLE columns (
    job    INTEGER PRIMARY KEY REFERENCES job (id),
    fields TEXT NOT NULL CHECK (json_valid(fields)),
    -- The name of the job's file, if it is not the job's name.
    input  ANY CHECK (input IS NULL OR typeof(input) IN ('text', 'blob') AND length(input) > 0)
) STRICT;

-- Every call that was about to be sent. The row is durable before the first byte leaves. The checks avoid IN: for more
-- than two values, SQLite creates and drops a table for each row that is written.
CREATE TABLE attempt (
    job      INTEGER NOT NULL REFERENCES job (id),
    number   INTEGER NOT NULL CHECK (number > 0),
    runner   INTEGER NOT NULL REFERENCES runner (id),
    chunk    INTEGER NOT NULL,
    key      BLOB NOT NULL CHECK (length(key) = 16),
    started  INTEGER NOT NULL,
    ended    INTEGER,
    -- Duration of the call, in milliseconds, by a monotonic clock.
    took     INTEGER,
    outcome  TEXT CHECK (outcome = 'succeeded' OR outcome = 'failed' OR outcome = 'throttled' OR outcome = 'not_sent'
                         OR outcome = 'in_doubt' OR outcome = 'interrupted' OR outcome = 'advanced'
                         OR outcome = 'not_ready'),
    class    TEXT CHECK (class = 'transient' OR class = 'throttled' OR class = 'quota' OR class = 'auth'
                         OR class = 'rejected' OR class = 'bad_response' OR class = 'input' OR class = 'local'),
    kind     TEXT,
    status   INTEGER,
    message  TEXT,
    -- The beginning of an error's body.
    body     BLOB,
    -- The job's file as a successful call found it: its size in bytes, and its time in nanoseconds since 1970.
    source_size     INTEGER,
    source_modified INTEGER,
    -- The index of the step, from 0.
    step     INTEGER NOT NULL DEFAULT 0 CHECK (step >= 0),
    -- The number of polls that this row stands for, and the start of the latest one; NULL if it is no poll. All but the
    -- latest one were answered "not ready".
    polls    INTEGER CHECK (polls > 0),
    polled   INTEGER,
    -- The price, in billionths of the user's unit of money; NULL if it is free. A constant price is here from the claim on. If
    -- the call's own cost is unknown, the price is that of the dearest call before; `cost_unknown` counts such calls.
    cost         INTEGER CHECK (cost >= 0),
    cost_unknown INTEGER NOT NULL DEFAULT 0 CHECK (cost_unknown >= 0),
    -- The lane, if the run has a pool.
    lane            INTEGER REFERENCES lane (number),
    PRIMARY KEY (job, number),
    CHECK ((ended IS NULL) = (outcome IS NULL)),
    CHECK (class IS NULL OR outcome = 'failed' OR outcome = 'throttled' OR outcome = 'not_sent' OR outcome = 'in_doubt'
           OR outcome = 'interrupted')
) STRICT, WITHOUT ROWID;

-- The answers of finished steps, except the last one's, which is the result. They are replaced when the job begins anew.
CREATE TABLE step_answer (
    id         INTEGER PRIMARY KEY,
    job        INTEGER NOT NULL REFERENCES job (id),
    step       INTEGER NOT NULL CHECK (step >= 0),
    attempt    INTEGER NOT NULL,
    status     INTEGER,
    media_type TEXT,
    -- The headers as a JSON object.
    headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
    body       BLOB NOT NULL,
    recorded   INTEGER NOT NULL,
    UNIQUE (job, step),
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;

-- One result for each job that is done, as received.
CREATE TABLE result (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    attempt    INTEGER NOT NULL,
    media_type TEXT,
    body       BLOB NOT NULL,
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    -- The answer's headers as a JSON object, if the run's expressions use them.
    headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
    -- Path and size in bytes of the file with the body. `body` is empty then. A relative path resolves as names do.
    file       ANY CHECK (file IS NULL OR typeof(file) = 'text' OR typeof(file) = 'blob'),
    size       INTEGER CHECK (size >= 0),
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;

-- Results that `stride retry --done` and the like have set aside before they called a file again.
CREATE TABLE earlier_result (
    job        INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    media_type TEXT,
    body       BLOB NOT NULL,
    sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
    headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
    file       ANY CHECK (file IS NULL OR typeof(file) = 'text' OR typeof(file) = 'blob'),
    size       INTEGER CHECK (size >= 0),
    PRIMARY KEY (job, attempt),
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;

-- Complete answers with a status of success that are not results, kept for `stride recheck`. The latest one of each job.
CREATE TABLE rejected_response (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    attempt    INTEGER NOT NULL,
    media_type TEXT,
    headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
    body       BLOB NOT NULL,
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;

-- Counts, updated with every change, because counting ten million rows is slow: one row.
CREATE TABLE counts (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    pending            INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
    waiting            INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
    running            INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
    done               INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    failed             INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    held               INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    forgotten          INTEGER NOT NULL DEFAULT 0 CHECK (forgotten >= 0),
    attempts           INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    in_doubt           INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt >= 0),
    in_doubt_recovered INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt_recovered >= 0)
) STRICT;

-- The limiter's state, which survives a restart: one row.
CREATE TABLE limiter_state (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    -- Used budgets of all runners: calls that were perhaps sent, the sum of `attempt.cost` and that of
    -- `attempt.cost_unknown`, and working time in milliseconds.
    calls        INTEGER NOT NULL DEFAULT 0 CHECK (calls >= 0),
    cost         INTEGER NOT NULL DEFAULT 0 CHECK (cost >= 0),
    cost_unknown INTEGER NOT NULL DEFAULT 0 CHECK (cost_unknown >= 0),
    worked       INTEGER NOT NULL DEFAULT 0 CHECK (worked >= 0),
    -- The dearest cost that an answer has stated.
    dearest      INTEGER CHECK (dearest >= 0),
    -- The service asked all calls to wait until this moment.
    closed_until INTEGER,
    -- Limits found: calls a second, calls at the same time, and how many of those raise throughput.
    found_rate    REAL CHECK (found_rate > 0),
    found_at_once INTEGER CHECK (found_at_once > 0),
    found_width   INTEGER CHECK (found_width > 0),
    -- A file has succeeded under the present request.
    proven       INTEGER NOT NULL DEFAULT 0,
    -- The limiting reason at the time of writing, its moment, and the earliest moment of the last call.
    limited_by   TEXT,
    limited_at   INTEGER,
    finish       INTEGER,
    -- The file that the service refused most often while it accepted others, and the number of refusals.
    refused_job   INTEGER,
    refused_times INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Usage of the rates in each second of the last day.
CREATE TABLE usage (
    -- 0 without a pool.
    lane   INTEGER NOT NULL DEFAULT 0,
    -- The second since 1970.
    second INTEGER NOT NULL,
    calls  INTEGER NOT NULL CHECK (calls >= 0),
    bytes  INTEGER NOT NULL CHECK (bytes >= 0),
    weight INTEGER NOT NULL CHECK (weight >= 0),
    PRIMARY KEY (lane, second)
) STRICT, WITHOUT ROWID;

-- Files that stride wrote for this run (exports, events), so that a walk does not take them for input.
CREATE TABLE artifact (
    path BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Files from which the list was read, so that no output replaces them. A relative path resolves as names do.
CREATE TABLE list (
    path BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- A stable view for people and other programs.
CREATE VIEW attempts (path, position, number, chunk, runner, outcome, class, status, idempotency_key, started, ended, step, polls,
                      cost, cost_unknown, lane) AS
SELECT job.path, job.id, attempt.number, attempt.chunk, attempt.runner, attempt.outcome, attempt.class, attempt.status,
       lower(substr(hex(attempt.key), 1, 8) || '-' || substr(hex(attempt.key), 9, 4) || '-' ||
             substr(hex(attempt.key), 13, 4) || '-' || substr(hex(attempt.key), 17, 4) || '-' ||
             substr(hex(attempt.key), 21)),
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.started / 1000.0, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.ended / 1000.0, 'unixepoch'),
       attempt.step + 1, attempt.polls, attempt.cost / 1000000000.0, attempt.cost_unknown, attempt.lane
FROM attempt JOIN job ON job.id = attempt.job;

-- A stable view for people and other programs: a row for each job, with its result and an attempt. In list order:
-- SELECT * FROM results ORDER BY position.
--
--   path        the name: text if it is UTF-8, else a blob
--   position    the place in the list, from 0
--   state       pending, waiting, running, done, failed, held or forgotten
--   attempts    number of attempts
--   status      of the attempt of the result, or else of the latest one: the HTTP status,
--   class         the failure's class
--   kind          and the finer word below it,
--   error         the failure in one line,
--   started       its start and end, in UTC (RFC 3339),
--   ended
--   duration      and its duration, in seconds
--   media_type  the result's Content-Type as received
--   result      the result's body as received: text or a blob; NULL if it is in a file
--   file        that file's path; if it is relative, it resolves as `path` does
--   sha256      the checksum of the result's body, in hexadecimal digits
--   columns     the further columns of a list that is a table, as a JSON object
--
-- A body is text if its media type is JSON or text and its charset, if any, is UTF-8, or if the run accepts only text. SQL
-- cannot check UTF-8. stride checked it on receipt under `--expect json` and `--expect text`. Under `--expect any` a body
-- declared as text can be binary; CAST(result AS BLOB) returns its bytes.
CREATE VIEW results (path, position, state, attempts, status, class, kind, error, started, ended, duration, media_type,
                     result, file, sha256, columns) AS
SELECT job.path, work.job,
       CASE work.state WHEN 0 THEN 'pending' WHEN 1 THEN 'running' WHEN 2 THEN 'done' WHEN 3 THEN 'failed'
                       WHEN 4 THEN 'held' WHEN 5 THEN 'forgotten' ELSE 'waiting' END,
       work.attempts, attempt.status, attempt.class, attempt.kind, attempt.message,
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.started / 1000.0, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%fZ', attempt.ended / 1000.0, 'unixepoch'),
       attempt.took / 1000.0, result.media_type,
       CASE
           WHEN result.file IS NOT NULL THEN NULL
           WHEN lower(result.media_type) GLOB '*[/+]json' OR lower(result.media_type) GLOB '*[/+]json[ ;]*'
                OR lower(result.media_type) GLOB '*charset=utf-8*' OR lower(result.media_type) GLOB '*charset="utf-8"*'
               THEN CAST(result.body AS TEXT)
           WHEN (lower(result.media_type) GLOB 'text/*' OR lower(result.media_type) GLOB '*[/+]xml'
                 OR lower(result.media_type) GLOB '*[/+]xml[ ;]*')
                AND (lower(result.media_type) NOT GLOB '*charset=*' OR lower(result.media_type) GLOB '*charset=us-ascii*')
               THEN CAST(result.body AS TEXT)
           WHEN (SELECT json_extract(call, '$.judging.expect') FROM run) = 'text' THEN CAST(result.body AS TEXT)
           -- The run may have accepted other bodies under an earlier `--expect`.
           WHEN (SELECT json_extract(call, '$.judging.expect') FROM run) = 'json' AND json_valid(CAST(result.body AS TEXT))
               THEN CAST(result.body AS TEXT)
           ELSE result.body
       END,
       result.file, nullif(lower(hex(result.sha256)), ''),
       (SELECT fields FROM columns WHERE columns.job = work.job)
FROM work
     JOIN job ON job.id = work.job
     LEFT JOIN result ON result.job = work.job
     LEFT JOIN attempt ON attempt.job = work.job AND attempt.number = coalesce(result.attempt, work.attempts);
