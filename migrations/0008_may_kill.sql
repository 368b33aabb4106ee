-- The jobs that may be what kills their process, for people to see.
CREATE INDEX job_may_kill ON job (position) WHERE crashes >= 2;
