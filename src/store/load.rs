//! Loads names in one transaction, with one bit of memory for each job.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::bits::Bits;
use super::bulk::Bulk;
use super::counts::{add_counts, job_count};
use super::error::{Result, StoreError, doing};
use super::forget;
use super::statement::{all, execute};
use super::values::{path_from_sql, path_to_sql};
use crate::event::Counts;
use crate::job::FileName;

/// Most names that are given as examples.
const EXAMPLES: usize = 3;

/// Adds the names of a list, in order.
#[derive(Debug)]
pub struct Loader<'c>(Target<'c>);

#[derive(Debug)]
enum Target<'c> {
    New(Bulk<'c>),
    Existing(Extension<'c>),
}

/// Adds names to a run that others may be reading.
#[derive(Debug)]
struct Extension<'c> {
    connection: &'c Connection,
    next: i64,
    /// The run had jobs before, so most names are looked up before an insert.
    extends: bool,
    seen: Bits,
    forgotten: Bits,
    counts: Counts,
    loaded: Loaded,
}

/// The counts of a loaded list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Number of names that are new in the run.
    pub added: u64,
    /// Number of names that the run had already.
    pub known: u64,
    /// Number of repeated names in the list, which make no further jobs.
    pub duplicates: u64,
    /// Number of names that the run has and the list lacks; they are kept.
    pub left: u64,
    /// The first few of them.
    pub left_examples: Vec<FileName>,
    /// The first of them that failed, at most [`Loaded::MOST_FAILED`].
    pub left_failed: Vec<FileName>,
    /// Number of names that the list lacks and that [`Loader::forget_unlisted`] has forgotten.
    pub unlisted: u64,
    /// The first few of them.
    pub unlisted_examples: Vec<FileName>,
    /// Number of names in the list that were forgotten before, and stay so.
    pub forgotten: u64,
    /// The first few of them.
    pub forgotten_examples: Vec<FileName>,
}

impl Loaded {
    /// Most names in `left_failed`.
    pub const MOST_FAILED: usize = 20;
}

impl<'c> Loader<'c> {
    /// Runs `fill` inside the transaction that creates a run. Sorts in `folder`; `sync` begins to sync the rows.
    pub(super) fn fill_new<E: From<StoreError>>(
        connection: &'c Connection,
        folder: &'c Path,
        sync: impl FnOnce(),
        fill: impl FnOnce(&mut Loader<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Loaded, E> {
        let bulk = Bulk::begin(connection, folder).map_err(doing("making the run"))?;
        let mut loader = Self(Target::New(bulk));
        fill(&mut loader)?;
        let mut loaded = Loaded::default();
        if let Self(Target::New(bulk)) = loader {
            (loaded.added, loaded.duplicates) = bulk.finish(sync)?;
        }
        count(connection, loaded.added)?;
        Ok(loaded)
    }

    /// Runs `fill` inside the caller's transaction and updates the counts.
    pub(super) fn fill<E: From<StoreError>>(
        connection: &'c Connection,
        counts: &mut Counts,
        fill: impl FnOnce(&mut Loader<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Loaded, E> {
        let mut loader = Self(Target::Existing(Extension {
            connection,
            next: job_count(connection)?,
            extends: counts.listed() > 0,
            seen: Bits::default(),
            forgotten: forgotten(connection)?,
            counts: *counts,
            loaded: Loaded::default(),
        }));
        fill(&mut loader)?;
        let mut loaded = Loaded::default();
        if let Self(Target::Existing(mut extension)) = loader {
            extension.find_left()?;
            (loaded, *counts) = (extension.loaded, extension.counts);
        }
        counts.total += loaded.added;
        counts.pending += loaded.added;
        count(connection, loaded.added)?;
        Ok(loaded)
    }

    /// Adds a name at the end of the list, unless the run has it.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn add(&mut self, name: &FileName) -> Result<()> {
        self.add_with(name, None)
    }

    /// Forgets the jobs of the run that the names added so far lack, so that the list is that of the run. Jobs whose call is
    /// in flight stay.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn forget_unlisted(&mut self) -> Result<()> {
        match &mut self.0 {
            Target::New(_) => Ok(()),
            Target::Existing(extension) => extension.forget_unlisted(),
        }
    }

    /// Adds a name with its columns, a JSON object from column to value. A known job that is not done gets these columns
    /// instead of its own. If the list repeats a name, its first row counts.
    ///
    /// # Errors
    ///
    /// The database cannot be written, or the columns are not JSON.
    pub fn add_with(&mut self, name: &FileName, columns: Option<&str>) -> Result<()> {
        match &mut self.0 {
            Target::New(bulk) => bulk.add(name, columns),
            Target::Existing(extension) => extension.add(name, columns),
        }
    }
}

/// Returns the forgotten jobs.
fn forgotten(connection: &Connection) -> Result<Bits> {
    let (sql, what) = ("SELECT job FROM forgotten", "reading the forgotten files");
    let mut forgotten = Bits::default();
    for job in all(connection, sql, [], what, |row| row.get(0))? {
        forgotten.insert(job);
    }
    Ok(forgotten)
}

/// Reads names of jobs that `wanted` accepts, at most `most`, in list order.
fn names(
    connection: &Connection,
    sql: &str,
    most: usize,
    wanted: impl Fn(i64) -> bool,
) -> Result<Vec<FileName>> {
    let read = || -> rusqlite::Result<Vec<FileName>> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut names = Vec::new();
        while names.len() < most
            && let Some(row) = rows.next()?
        {
            if wanted(row.get(0)?) {
                names.push(path_from_sql(row, 1)?);
            }
        }
        Ok(names)
    };
    read().map_err(doing("comparing the list"))
}

fn count(connection: &Connection, added: u64) -> Result<()> {
    let sql = "UPDATE counts SET pending = pending + ?1";
    execute(connection, sql, [added], "counting the list").map(drop)
}

impl Extension<'_> {
    fn add(&mut self, name: &FileName, columns: Option<&str>) -> Result<()> {
        let known = if self.extends { self.find(name)? } else { None };
        let added = match known {
            Some(_) => None,
            None => self.insert(name)?,
        };
        let job = match known.or(added) {
            Some(job) => Some(job),
            None => self.find(name)?,
        };
        match job {
            Some(job) if self.forgotten.contains(job) => {
                if self.seen.insert(job) {
                    self.loaded.forgotten += 1;
                    if self.loaded.forgotten_examples.len() < EXAMPLES {
                        self.loaded.forgotten_examples.push(name.clone());
                    }
                } else {
                    self.loaded.duplicates += 1;
                }
                return Ok(());
            }
            _ if added.is_some() => self.loaded.added += 1,
            Some(job) if self.seen.insert(job) => self.loaded.known += 1,
            _ => {
                self.loaded.duplicates += 1;
                return Ok(());
            }
        }
        job.zip(columns)
            .map_or(Ok(()), |(job, columns)| self.describe(job, columns))
    }

    /// Sets a job's columns. A done job keeps those of its call.
    fn describe(&self, job: i64, columns: &str) -> Result<()> {
        let sql = "INSERT INTO columns (job, fields) SELECT job, ?2 FROM work WHERE job = ?1 AND state <> 2
                   ON CONFLICT (job) DO UPDATE SET fields = excluded.fields WHERE fields <> excluded.fields";
        let values = params![job, columns];
        execute(self.connection, sql, values, "adding a file's columns").map(drop)
    }

    fn find(&self, name: &FileName) -> Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT id FROM job WHERE path = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([path_to_sql(name)], |row| row.get(0))
                    .optional()
            })
            .map_err(doing("finding a name"))
    }

    fn insert(&mut self, name: &FileName) -> Result<Option<i64>> {
        let job = self.next;
        let sql = "INSERT INTO job (id, path) VALUES (?1, ?2) ON CONFLICT (path) DO NOTHING";
        let values = params![job, path_to_sql(name)];
        if execute(self.connection, sql, values, "adding a name")? == 0 {
            return Ok(None);
        }
        let sql = "INSERT INTO work (job) VALUES (?1)";
        execute(self.connection, sql, [job], "adding a name")?;
        self.next += 1;
        self.seen.insert(job);
        Ok(Some(job))
    }

    /// Forgets the run's names that the list lacks, except those whose call is in flight.
    fn forget_unlisted(&mut self) -> Result<()> {
        let before = self.counts;
        let seen = &self.seen;
        let forgotten =
            forget::forget_where(self.connection, &mut self.counts, |job| !seen.contains(job))?;
        (self.loaded.unlisted, self.loaded.unlisted_examples) = forgotten;
        self.forgotten = self::forgotten(self.connection)?;
        add_counts(self.connection, &before, &self.counts)
    }

    /// Counts the run's earlier names that the list lacks, and finds examples.
    fn find_left(&mut self) -> Result<()> {
        self.loaded.left = self.counts.total - self.loaded.known;
        if self.loaded.left == 0 {
            return Ok(());
        }
        let is_left = |job| !self.seen.contains(job) && !self.forgotten.contains(job);
        let all = "SELECT id, path FROM job ORDER BY id";
        self.loaded.left_examples = names(self.connection, all, EXAMPLES, is_left)?;
        let failed = "SELECT work.job, path FROM work JOIN job ON job.id = work.job
                      WHERE state = 3 AND state <> 2 ORDER BY work.job";
        self.loaded.left_failed = names(self.connection, failed, Loaded::MOST_FAILED, is_left)?;
        Ok(())
    }
}
