-- For people and other programs; stable, as the view `attempts`. A row for each job, with its latest attempt and its
-- result. To look at all results in list order: SELECT * FROM results ORDER BY position.
--
--   path        the name: text where it is UTF-8, a blob where not
--   position    the place in the list, from 0
--   state       pending, running, done, failed or held
--   attempts    how many there were
--   status      of the latest attempt: the HTTP status,
--   class         the failure's class
--   kind          and the finer word below it,
--   error         the failure in one line,
--   started       when it began and ended, in UTC (RFC 3339),
--   ended
--   duration      and how long it took, in seconds
--   media_type  the result's Content-Type as received
--   result      the result's body as received: text or a blob; NULL where it lies in a file
--   file        that file's path
--   sha256      the checksum of the result's body, in hexadecimal digits
--
-- A body is text where it is JSON or text by its media type and in UTF-8 by its charset, if it has one, and where
-- the run takes nothing but text. SQL has no way to ask whether bytes are UTF-8. That was asked when the answer came, of
-- whatever is to be JSON or text (`--expect json` and `--expect text`); under `--expect any` a body that calls itself
-- text may be none, and CAST(result AS BLOB) has its bytes all the same.
CREATE VIEW results (path, position, state, attempts, status, class, kind, error, started, ended, duration, media_type,
                     result, file, sha256) AS
SELECT job.path, job.position,
       CASE job.state WHEN 0 THEN 'pending' WHEN 1 THEN 'running' WHEN 2 THEN 'done' WHEN 3 THEN 'failed' ELSE 'held' END,
       job.attempts, attempt.status, attempt.class, attempt.kind, attempt.message,
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
           -- What is no JSON was taken when the run still took anything.
           WHEN (SELECT json_extract(call, '$.judging.expect') FROM run) = 'json' AND json_valid(CAST(result.body AS TEXT))
               THEN CAST(result.body AS TEXT)
           ELSE result.body
       END,
       result.file, nullif(lower(hex(result.sha256)), '')
FROM job
     LEFT JOIN attempt ON attempt.job = job.id AND attempt.number = job.attempts
     LEFT JOIN result ON result.job = job.id;
