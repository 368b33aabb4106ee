//! Adding names: one transaction, constant memory but for one bit a job.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::bits::Bits;
use super::bulk::Bulk;
use super::error::{Result, StoreError, doing};
use super::values::{path_from_sql, path_to_sql};
use crate::event::Counts;
use crate::job::FileName;

/// Takes the names of a list, in order.
#[derive(Debug)]
pub struct Loader<'c>(Way<'c>);

#[derive(Debug)]
enum Way<'c> {
    New(Bulk<'c>),
    Run(Extension<'c>),
}

/// Names that are added to a run that others may be looking at.
#[derive(Debug)]
struct Extension<'c> {
    connection: &'c Connection,
    next: i64,
    /// Whether the run had jobs before: then most names are looked up, else most are new.
    extends: bool,
    seen: Bits,
    loaded: Loaded,
}

/// What came of a list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Names that are new in the run.
    pub added: u64,
    /// Names that the run had already.
    pub known: u64,
    /// Names that the list has more than once; each makes one job.
    pub duplicates: u64,
    /// Names that the run has and the list does not, which are kept.
    pub left: u64,
    /// The first few of them.
    pub left_examples: Vec<FileName>,
}

impl<'c> Loader<'c> {
    /// Runs `fill` inside the transaction that makes a new run, whose database lies in `folder`; `sync` begins to
    /// sync it.
    pub(super) fn fill_new<E: From<StoreError>>(
        connection: &'c Connection,
        folder: &'c Path,
        sync: impl FnOnce(),
        fill: impl FnOnce(&mut Loader<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Loaded, E> {
        let bulk = Bulk::begin(connection, folder).map_err(doing("making the run"))?;
        let mut loader = Self(Way::New(bulk));
        fill(&mut loader)?;
        let mut loaded = Loaded::default();
        if let Self(Way::New(bulk)) = loader {
            (loaded.added, loaded.duplicates) = bulk.finish(sync)?;
        }
        count(connection, loaded.added)?;
        Ok(loaded)
    }

    /// Runs `fill` inside the caller's transaction and brings the counts up to date.
    pub(super) fn fill<E: From<StoreError>>(
        connection: &'c Connection,
        counts: &mut Counts,
        fill: impl FnOnce(&mut Loader<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Loaded, E> {
        let next: i64 = connection
            .query_row("SELECT coalesce(max(id) + 1, 0) FROM job", [], |row| {
                row.get(0)
            })
            .map_err(doing("reading the list"))?;
        let mut loader = Self(Way::Run(Extension {
            connection,
            next,
            extends: counts.total > 0,
            seen: Bits::default(),
            loaded: Loaded::default(),
        }));
        fill(&mut loader)?;
        let mut loaded = Loaded::default();
        if let Self(Way::Run(mut extension)) = loader {
            extension.find_left(counts.total)?;
            loaded = extension.loaded;
        }
        counts.total += loaded.added;
        counts.pending += loaded.added;
        count(connection, loaded.added)?;
        Ok(loaded)
    }

    /// Adds a name at the end of the list, unless it is there.
    ///
    /// # Errors
    ///
    /// The database cannot be written.
    pub fn add(&mut self, name: &FileName) -> Result<()> {
        self.add_with(name, None)
    }

    /// Adds a name with what its row of a table says of it, a JSON object from column to value. A job that is
    /// there and not done gets these columns instead of its own; where a list has a name more than once, the
    /// first row counts.
    ///
    /// # Errors
    ///
    /// The database cannot be written, or the columns are not JSON.
    pub fn add_with(&mut self, name: &FileName, columns: Option<&str>) -> Result<()> {
        match &mut self.0 {
            Way::New(bulk) => bulk.add(name, columns),
            Way::Run(extension) => extension.add(name, columns),
        }
    }
}

fn count(connection: &Connection, added: u64) -> Result<()> {
    connection
        .execute("UPDATE counts SET pending = pending + ?1", [added])
        .map_err(doing("counting the list"))?;
    Ok(())
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

    /// Gives a job its columns, unless it is done: then those that it was called with stay.
    fn describe(&self, job: i64, columns: &str) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO columns (job, fields) SELECT job, ?2 FROM work WHERE job = ?1 AND state <> 2
                 ON CONFLICT (job) DO UPDATE SET fields = excluded.fields WHERE fields <> excluded.fields",
            )
            .and_then(|mut statement| statement.execute(params![job, columns]))
            .map_err(doing("adding a job's columns"))?;
        Ok(())
    }

    fn find(&self, name: &FileName) -> Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT id FROM job WHERE path = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([path_to_sql(name)], |row| row.get(0))
                    .optional()
            })
            .map_err(doing("looking a name up"))
    }

    fn insert(&mut self, name: &FileName) -> Result<Option<i64>> {
        let job = self.next;
        let added = self
            .connection
            .prepare_cached(
                "INSERT INTO job (id, path) VALUES (?1, ?2) ON CONFLICT (path) DO NOTHING",
            )
            .and_then(|mut statement| statement.execute(params![job, path_to_sql(name)]))
            .map_err(doing("adding a name"))?;
        if added == 0 {
            return Ok(None);
        }
        self.connection
            .prepare_cached("INSERT INTO work (job) VALUES (?1)")
            .and_then(|mut statement| statement.execute([job]))
            .map_err(doing("adding a name"))?;
        self.next += 1;
        self.seen.insert(job);
        Ok(Some(job))
    }

    /// Finds what the run had before and the list did not name.
    fn find_left(&mut self, before: u64) -> Result<()> {
        self.loaded.left = before - self.loaded.known;
        if self.loaded.left == 0 {
            return Ok(());
        }
        let mut statement = self
            .connection
            .prepare("SELECT id, path FROM job ORDER BY id")
            .map_err(doing("comparing the list"))?;
        let mut rows = statement.query([]).map_err(doing("comparing the list"))?;
        while let Some(row) = rows.next().map_err(doing("comparing the list"))? {
            if !self
                .seen
                .contains(row.get(0).map_err(doing("comparing the list"))?)
            {
                self.loaded
                    .left_examples
                    .push(path_from_sql(row, 1).map_err(doing("comparing the list"))?);
                if self.loaded.left_examples.len() == 3 {
                    break;
                }
            }
        }
        Ok(())
    }
}
