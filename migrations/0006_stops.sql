-- Why a runner stopped early, in a word of a closed list: credentials, quota, certificate, name, proxy, redirect,
-- missing_files, rejected, failures, outage, wait, max_calls, max_duration, max_cost, until.
ALTER TABLE runner ADD COLUMN stopped TEXT;
-- The way out: wait, raise or fix.
ALTER TABLE runner ADD COLUMN stopped_action TEXT;
-- The moment until which the service asked to wait.
ALTER TABLE runner ADD COLUMN stopped_until INTEGER;
-- The last failure in the service's own words, without secrets.
ALTER TABLE runner ADD COLUMN stopped_words TEXT;

-- Calls at the same time that the service was found to accept.
ALTER TABLE pace ADD COLUMN found_at_once INTEGER CHECK (found_at_once > 0);
-- A file has succeeded under the present request.
ALTER TABLE pace ADD COLUMN proven INTEGER NOT NULL DEFAULT 0;
UPDATE pace SET proven = EXISTS (SELECT 1 FROM result);

-- The job failed for good before a person made it pending again, so its failures say nothing about the service.
ALTER TABLE job ADD COLUMN failed_before INTEGER NOT NULL DEFAULT 0;
