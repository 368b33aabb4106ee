-- What the governor has to remember, so that stopping and starting changes nothing. Times are milliseconds since
-- 1970-01-01 00:00 UTC.

-- One row.
CREATE TABLE pace (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    -- What of the budgets is used, over all runners: calls that were perhaps sent, what they cost in billionths
    -- of the user's unit of money, and for how long runners have worked.
    calls        INTEGER NOT NULL DEFAULT 0 CHECK (calls >= 0),
    cost         INTEGER NOT NULL DEFAULT 0 CHECK (cost >= 0),
    worked       INTEGER NOT NULL DEFAULT 0 CHECK (worked >= 0),
    -- The service asked everybody to wait until this moment.
    closed_until INTEGER,
    -- What was found of the service's limits: calls in a second, and calls at the same time.
    found_rate   REAL CHECK (found_rate > 0),
    found_width  INTEGER CHECK (found_width > 0),
    -- What kept the run from going faster when this was written; the moment that belongs to it; and when the
    -- last file could be called at best.
    limited_by   TEXT,
    limited_at   INTEGER,
    finish       INTEGER
) STRICT;

INSERT INTO pace (id, calls)
SELECT 1, count(*) FROM attempt WHERE outcome IS NULL OR outcome NOT IN ('not_sent', 'interrupted');

-- What was spent of the rates in each second of the last day.
CREATE TABLE spent (
    -- The second since 1970.
    second INTEGER PRIMARY KEY,
    calls  INTEGER NOT NULL CHECK (calls >= 0),
    bytes  INTEGER NOT NULL CHECK (bytes >= 0),
    weight INTEGER NOT NULL CHECK (weight >= 0)
) STRICT;
