-- What belongs to a job beside its name, where the list is a table: an object from column to value, as JSON.
CREATE TABLE columns (
    job    INTEGER PRIMARY KEY REFERENCES job (id),
    fields TEXT NOT NULL CHECK (json_valid(fields))
) STRICT;

-- The answer's headers as a JSON object, kept where the run's expressions ask for them.
ALTER TABLE result ADD COLUMN headers TEXT CHECK (headers IS NULL OR json_valid(headers));
-- Where the body lies in a file instead of here: the file's path, and its size in bytes. The body is empty then.
ALTER TABLE result ADD COLUMN file ANY CHECK (typeof(file) IN ('null', 'text', 'blob'));
ALTER TABLE result ADD COLUMN size INTEGER CHECK (size >= 0);

-- Complete answers with a status of success that were judged to be no results: kept whole, so that they can be
-- judged again. The latest one of each job.
CREATE TABLE refused (
    job        INTEGER PRIMARY KEY REFERENCES job (id),
    attempt    INTEGER NOT NULL,
    media_type TEXT,
    headers    TEXT CHECK (headers IS NULL OR json_valid(headers)),
    body       BLOB NOT NULL,
    FOREIGN KEY (job, attempt) REFERENCES attempt (job, number)
) STRICT;
