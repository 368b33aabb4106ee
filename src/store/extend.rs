//! Adds names to a run that others may be reading.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::bits::Bits;
use super::counts::add_counts;
use super::error::{Result, StoreError, doing, failed};
use super::forget;
use super::identity;
use super::loaded::{Loaded, NewJob, RowUse};
use super::progress;
use super::redo::redo;
use super::renew::renew;
use super::statement::{all, execute};
use super::values::{optional_path, path_from_sql, path_to_sql, shift};
use crate::event::Counts;
use crate::job::{Checksum, Columns, FileName, JobId, JobState};

/// Most names that are given as examples.
const EXAMPLES: usize = 3;

/// Adds names to a run that exists.
#[derive(Debug)]
pub(super) struct Extension<'c> {
    pub(super) connection: &'c Connection,
    next: i64,
    /// The run had jobs before, so most names are looked up before an insert.
    extends: bool,
    seen: Bits,
    forgotten: Bits,
    counts: Counts,
    rows: Rows,
    row_use: RowUse,
    calls_again: bool,
    loaded: Loaded,
}

/// The rows of a list so far.
#[derive(Debug, Default)]
struct Rows {
    /// The number of jobs that the list has named.
    named: u64,
    /// For each job of the run, the number of its row in the list, counted from 1.
    first: Vec<u32>,
    /// The checksums of rows that done jobs did not get.
    refused: HashMap<i64, Checksum>,
}

/// A job's row as the database has it.
#[derive(Debug, PartialEq, Eq)]
struct StoredRow {
    fields: String,
    file: Option<FileName>,
}

impl<'c> Extension<'c> {
    pub(super) fn new(connection: &'c Connection, next: i64, counts: Counts) -> Result<Self> {
        Ok(Self {
            connection,
            next,
            extends: counts.listed() > 0,
            seen: Bits::default(),
            forgotten: forgotten(connection)?,
            counts,
            rows: Rows::default(),
            row_use: RowUse::default(),
            calls_again: false,
            loaded: Loaded::default(),
        })
    }

    pub(super) fn row_use(&mut self, row_use: RowUse) {
        self.row_use = row_use;
    }

    pub(super) fn call_again(&mut self) {
        self.calls_again = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.loaded.added + self.loaded.known + self.loaded.duplicates == 0
    }

    /// Adds a job. Returns whether its name is new.
    pub(super) fn add(&mut self, job: &NewJob<'_>, merges: bool) -> Result<bool> {
        let find = || {
            let found = identity::find(self.connection, job.name, job.key, merges);
            found.map_err(doing("finding a name"))
        };
        let known = if self.extends { find()? } else { None };
        let added = match known {
            Some(_) => None,
            None => self.insert(job, merges)?,
        };
        let id = match known.or(added) {
            Some(id) => Some(id),
            None => identity::find(self.connection, job.name, job.key, merges)
                .map_err(doing("finding a name"))?,
        };
        self.rows.named += 1;
        match id {
            Some(id) if self.forgotten.contains(id) => self.count_forgotten(id, job.name),
            _ if added.is_some() => self.loaded.added += 1,
            Some(id) if self.seen.insert(id) => self.loaded.known += 1,
            _ => self.loaded.duplicates += 1,
        }
        if let (Some(id), Some(columns)) = (id, job.columns) {
            self.describe(id, columns, job)?;
        }
        Ok(added.is_some())
    }

    fn count_forgotten(&mut self, id: i64, name: &FileName) {
        if !self.seen.insert(id) {
            self.loaded.duplicates += 1;
            return;
        }
        self.loaded.forgotten += 1;
        add_example(&mut self.loaded.forgotten_examples, name);
    }

    /// Sets a job's row. A list has one row for each job. A job that is done or submitted keeps that of its call if its result
    /// depends on the difference, unless it is to be called again.
    fn describe(&mut self, id: i64, columns: &str, job: &NewJob<'_>) -> Result<()> {
        let row = StoredRow {
            fields: columns.to_owned(),
            file: job.file.cloned(),
        };
        let (is_called, stored) = self.row(id)?;
        if let Some(first) = self.rows.first(id) {
            let is_same = match self.rows.refused.get(&id) {
                Some(refused) => *refused == row.checksum(),
                None => stored.as_ref() == Some(&row),
            };
            return match is_same {
                true => Ok(()),
                false => Err(StoreError::Conflict {
                    path: job.name.clone(),
                    rows: (first, self.rows.named - 1),
                }),
            };
        }
        self.rows.record(id);
        if stored.as_ref() == Some(&row) {
            return Ok(());
        }
        let decides = self.decides(stored.as_ref(), &row)?;
        if decides && !is_called {
            self.loaded.renewed += renew(self.connection, Some(id))?;
        }
        if decides && is_called {
            let is_forgotten = self.forgotten.contains(id);
            if is_forgotten || !self.calls_again {
                if !is_forgotten {
                    self.loaded.outdated += 1;
                    add_example(&mut self.loaded.outdated_examples, job.name);
                }
                self.rows.refused.insert(id, row.checksum());
                return Ok(());
            }
            let before = self.counts;
            if redo(self.connection, id)? {
                shift(&mut self.counts, JobState::Done, JobState::Pending, 1)?;
            } else {
                progress::restart(self.connection, &mut self.counts, JobId(id))?;
            }
            add_counts(self.connection, &before, &self.counts)?;
            self.loaded.again += 1;
        }
        let sql = "INSERT INTO columns (job, fields, input) VALUES (?1, ?2, ?3)
                   ON CONFLICT (job) DO UPDATE SET fields = excluded.fields, input = excluded.input";
        let values = params![id, columns, job.file.map(path_to_sql)];
        execute(self.connection, sql, values, "adding a file's columns").map(drop)
    }

    /// Returns true if a call's result can depend on the difference of two rows.
    fn decides(&self, stored: Option<&StoredRow>, row: &StoredRow) -> Result<bool> {
        if stored.and_then(|stored| stored.file.as_ref()) != row.file.as_ref() {
            return Ok(true);
        }
        let read = |row: Option<&StoredRow>| {
            let fields = row.map_or("{}", |row| row.fields.as_str());
            Columns::read(fields).map_err(failed("comparing a file's columns"))
        };
        Ok(!self.row_use.is_same(&read(stored)?, &read(Some(row))?))
    }

    /// Returns whether a job is done or submitted, also if it was forgotten then, and its row.
    fn row(&self, id: i64) -> Result<(bool, Option<StoredRow>)> {
        let sql = "SELECT 2 = CASE work.state WHEN 5 THEN forgotten.state ELSE work.state END
                          OR EXISTS (SELECT 1 FROM progress WHERE progress.job = work.job), fields, input
                   FROM work LEFT JOIN columns USING (job) LEFT JOIN forgotten USING (job) WHERE work.job = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let file = optional_path(row, 2)?;
            let fields: Option<String> = row.get(1)?;
            Ok((row.get(0)?, fields.map(|fields| StoredRow { fields, file })))
        };
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([id], read).optional())
            .map(Option::unwrap_or_default)
            .map_err(doing("looking up a file's columns"))
    }

    fn insert(&mut self, job: &NewJob<'_>, merges: bool) -> Result<Option<i64>> {
        let id = self.next;
        let key = job.key.filter(|_| merges);
        let sql = "INSERT INTO job (id, path, plain) VALUES (?1, ?2, ?3)
                   ON CONFLICT (coalesce(plain, path)) DO NOTHING";
        let values = params![id, path_to_sql(job.name), key.map(path_to_sql)];
        if execute(self.connection, sql, values, "adding a name")? == 0 {
            return Ok(None);
        }
        let sql = "INSERT INTO work (job) VALUES (?1)";
        execute(self.connection, sql, [id], "adding a name")?;
        self.next += 1;
        self.seen.insert(id);
        Ok(Some(id))
    }

    /// Forgets the run's names that the list lacks, except those whose call is in flight.
    pub(super) fn forget_unlisted(&mut self) -> Result<()> {
        let before = self.counts;
        let seen = &self.seen;
        let forgotten =
            forget::forget_where(self.connection, &mut self.counts, |job| !seen.contains(job))?;
        (self.loaded.unlisted, self.loaded.unlisted_examples) = forgotten;
        self.forgotten = self::forgotten(self.connection)?;
        add_counts(self.connection, &before, &self.counts)
    }

    /// Counts the run's earlier names that the list lacks, and finds examples. Returns the counts of the run, too.
    pub(super) fn finish(mut self) -> Result<(Loaded, Counts)> {
        self.loaded.left = self.counts.total - self.loaded.known;
        if self.loaded.left > 0 {
            let is_left = |job| !self.seen.contains(job) && !self.forgotten.contains(job);
            let all = "SELECT id, path FROM job ORDER BY id";
            self.loaded.left_examples = names(self.connection, all, EXAMPLES, is_left)?;
            let unread = "SELECT work.job, path FROM work JOIN job ON job.id = work.job
                                 JOIN attempt ON attempt.job = work.job AND attempt.number = attempts
                          WHERE state = 3 AND state <> 2 AND class = 'input' ORDER BY work.job";
            self.loaded.left_unread = names(self.connection, unread, Loaded::MOST_UNREAD, is_left)?;
        }
        Ok((self.loaded, self.counts))
    }
}

fn add_example(examples: &mut Vec<FileName>, name: &FileName) {
    if examples.len() < EXAMPLES {
        examples.push(name.clone());
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

impl Rows {
    /// Returns the number of a job's first row, counted from 0.
    fn first(&self, id: i64) -> Option<u64> {
        let row = *self.first.get(usize::try_from(id).ok()?)?;
        u64::from(row).checked_sub(1)
    }

    /// Records that the latest row is a job's first one.
    fn record(&mut self, id: i64) {
        let index = id.unsigned_abs() as usize;
        if index >= self.first.len() {
            self.first.resize((index + 1).next_power_of_two(), 0);
        }
        self.first[index] = u32::try_from(self.named).unwrap_or(u32::MAX);
    }
}

impl StoredRow {
    fn checksum(&self) -> Checksum {
        let file = self.file.as_ref().map_or(&b""[..], FileName::as_bytes);
        // A name has no NUL byte.
        Checksum::of(&[file, b"\0", self.fields.as_bytes()].concat())
    }
}
