-- The file that the service refused most often while it took others, and how often.
ALTER TABLE pace ADD COLUMN refused_job INTEGER;
ALTER TABLE pace ADD COLUMN refused_times INTEGER NOT NULL DEFAULT 0;
