//! Loads names in one transaction. Takes a few bits of memory for each job, and some bytes for each row of a table.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::bulk::Bulk;
use super::counts::job_count;
use super::error::{Result, StoreError, doing};
use super::extend::Extension;
use super::loaded::{Loaded, NewJob, RowUse};
use super::statement::execute;
use crate::event::Counts;
use crate::job::FileName;

/// Adds the names of a list, in order.
#[derive(Debug)]
pub struct Loader<'c> {
    target: Target<'c>,
    /// Spellings of one path are one job.
    merges: bool,
}

#[derive(Debug)]
enum Target<'c> {
    New(Bulk<'c>),
    Existing(Box<Extension<'c>>),
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
        let mut loader = Self::new(Target::New(bulk));
        fill(&mut loader)?;
        let mut loaded = Loaded::default();
        if let Target::New(bulk) = loader.target {
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
        let extension = Extension::new(connection, job_count(connection)?, *counts)?;
        let mut loader = Self::new(Target::Existing(Box::new(extension)));
        fill(&mut loader)?;
        let mut loaded = Loaded::default();
        if let Target::Existing(extension) = loader.target {
            (loaded, *counts) = extension.finish()?;
        }
        counts.total += loaded.added;
        counts.pending += loaded.added;
        count(connection, loaded.added)?;
        Ok(loaded)
    }

    /// Records a file from which the list is read. A relative path resolves as names do.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn read_from(&mut self, file: &Path) -> Result<()> {
        let connection = match &self.target {
            Target::New(bulk) => bulk.connection,
            Target::Existing(extension) => extension.connection,
        };
        let sql = "INSERT OR IGNORE INTO list (path) VALUES (?1)";
        execute(
            connection,
            sql,
            [file.as_os_str().as_bytes()],
            "noting a list",
        )
        .map(drop)
    }

    fn new(target: Target<'c>) -> Self {
        Self {
            target,
            merges: false,
        }
    }

    /// Returns true if no name was added yet.
    pub fn is_empty(&self) -> bool {
        match &self.target {
            Target::New(bulk) => bulk.is_empty(),
            Target::Existing(extension) => extension.is_empty(),
        }
    }

    /// Lets spellings of one path be one job, for calls that read the file. The first spelling is the job's name.
    pub fn merge_spellings(&mut self) {
        self.merges = true;
    }

    /// Adds a name at the end of the list, unless the run has it.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn add(&mut self, name: &FileName) -> Result<()> {
        self.add_with(name, None)
    }

    /// Forgets the jobs of the run that were not added so far, except those whose call is in flight.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn forget_unlisted(&mut self) -> Result<()> {
        match &mut self.target {
            Target::New(_) => Ok(()),
            Target::Existing(extension) => extension.forget_unlisted(),
        }
    }

    /// Tells on which parts of a row the result of its call depends, so that done jobs get a row that differs elsewhere.
    pub fn row_use(&mut self, row_use: RowUse) {
        if let Target::Existing(extension) = &mut self.target {
            extension.row_use(row_use);
        }
    }

    /// Makes done jobs pending if their result depends on a row of which the list has another. Their results are set aside,
    /// as by [`Store::redo`](super::Store::redo).
    pub fn call_again(&mut self) {
        if let Target::Existing(extension) = &mut self.target {
            extension.call_again();
        }
    }

    /// Adds a name with its columns, a JSON object from column to value. A known job gets these columns instead of its own,
    /// unless it is done and its result depends on them.
    ///
    /// # Errors
    ///
    /// The database cannot be written, the columns are not JSON, or the list has the name with other columns.
    pub fn add_with(&mut self, name: &FileName, columns: Option<&str>) -> Result<()> {
        let job = NewJob {
            name,
            key: None,
            columns,
            file: None,
        };
        self.add_job(&job).map(drop)
    }

    /// Adds a job as [`Loader::add_with`] does. Returns whether its name is new, as far as that is known: in a new run
    /// duplicates are found at the end.
    ///
    /// # Errors
    ///
    /// As with [`Loader::add_with`]. [`StoreError::Conflict`] counts the added jobs from 0.
    pub fn add_job(&mut self, job: &NewJob<'_>) -> Result<bool> {
        match &mut self.target {
            Target::New(bulk) => {
                let key = job.key.filter(|_| self.merges);
                bulk.add(&NewJob { key, ..*job }).map(|()| true)
            }
            Target::Existing(extension) => extension.add(job, self.merges),
        }
    }
}

fn count(connection: &Connection, added: u64) -> Result<()> {
    let sql = "UPDATE counts SET pending = pending + ?1";
    execute(connection, sql, [added], "counting the list").map(drop)
}
