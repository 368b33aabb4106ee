//! Reads a run's properties and its jobs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use serde::de::DeserializeOwned;

use super::causes;
use super::counts::read_counts;
use super::error::{Result, StoreError, doing, failed};
use super::filter::Filter;
use super::forget::Forgotten;
use super::pace::{self, RunnerStatus};
use super::page;
use super::reader::Reader;
use super::record::{Record, RunInfo, Stopped};
use super::statement::{all, value};
use super::values::path_from_sql;
use crate::event::Counts;
use crate::job::{FileName, JobId, Money};

impl Reader {
    /// Returns the number of jobs in each state.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn counts(&self) -> Result<Counts> {
        read_counts(self.connection())
    }

    /// Returns the run's properties and its latest runner.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn info(&self) -> Result<RunInfo> {
        let connection = self.connection();
        let mut info = RunInfo {
            created: value(connection, "SELECT created FROM run", "reading the run")?,
            base: self.base().to_path_buf(),
            call: json(connection, "SELECT call FROM run")?,
            settings: json(connection, "SELECT settings FROM run")?,
            runners: value(
                connection,
                "SELECT count(*) FROM runner",
                "reading the runners",
            )?,
            started: None,
            ended: None,
            stopped: None,
        };
        let latest =
            "SELECT started, ended, ending, stopped, stopped_action, stopped_until, stopped_words
                      FROM runner ORDER BY id DESC LIMIT 1";
        let latest = connection.query_row(latest, [], |row| {
            info.started = row.get(0)?;
            let (ended, ending): (Option<i64>, Option<String>) = (row.get(1)?, row.get(2)?);
            info.ended = ended.zip(ending);
            let (reason, action): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
            let (until, words) = (row.get(5)?, row.get(6)?);
            info.stopped = reason.zip(action).map(|(reason, action)| Stopped {
                reason,
                action,
                until,
                words,
            });
            Ok(())
        });
        let latest = latest.optional();
        latest.map_err(doing("reading the runners"))?;
        Ok(info)
    }

    /// Returns the latest stored state of the runner.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn noted(&self) -> Result<RunnerStatus> {
        pace::noted(self.connection())
    }

    /// Passes on the done jobs, or all but the forgotten ones, with their results, in list order.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or `each` fails.
    pub fn records<E: From<StoreError>>(
        &self,
        all: bool,
        each: &mut dyn FnMut(Record) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let chosen = if all {
            "work.state <> 5"
        } else {
            "work.state = 2"
        };
        let sql = format!("{} WHERE {chosen} ORDER BY work.job", page::records());
        self.stream(&sql, [], each)
    }

    /// Finds a job and its result by its name.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn record(&self, name: &FileName) -> Result<Option<Record>> {
        let Some(job) = self.job_named(name)? else {
            return Ok(None);
        };
        let mut found = None;
        let sql = format!("{} WHERE work.job = ?1", page::records());
        self.stream(&sql, [job.0], &mut |record| {
            found = Some(record);
            Ok::<_, StoreError>(())
        })?;
        Ok(found)
    }

    /// Returns the sum of the prices of a job's calls.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn cost_of(&self, job: JobId) -> Result<Money> {
        let sql = "SELECT coalesce(sum(cost), 0) FROM attempt WHERE job = ?1";
        let cost = (self.connection()).query_row(sql, [job.0], |row| row.get(0));
        cost.map(Money).map_err(doing("reading the cost of a file"))
    }

    /// Counts the files that [`Loader::forget_unlisted`](super::Loader::forget_unlisted) would forget if the list had the
    /// names that `is_listed` accepts, and returns the first few. A name is passed in its shortest spelling.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn unlisted(&self, is_listed: impl Fn(&FileName) -> bool) -> Result<(u64, Vec<FileName>)> {
        let sql = "SELECT coalesce(plain, path), path FROM job JOIN work ON work.job = job.id
                   WHERE state <> 1 AND state <> 5 ORDER BY job.id";
        let (mut unlisted, mut examples) = (0, Vec::new());
        self.rows(sql, [], &mut |row| {
            let read = |column| path_from_sql(row, column).map_err(doing("comparing the list"));
            if !is_listed(&read(0)?) {
                unlisted += 1;
                if examples.len() < Forgotten::EXAMPLES {
                    examples.push(read(1)?);
                }
            }
            Ok::<_, StoreError>(())
        })?;
        Ok((unlisted, examples))
    }

    /// Returns true if the list has this name, forgotten or not.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn has(&self, name: &FileName) -> Result<bool> {
        Ok(self.job_named(name)?.is_some())
    }

    /// Passes on the failed and held jobs, or those that `filter` selects, in list order within each state.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or `each` fails.
    pub fn failures<E: From<StoreError>>(
        &self,
        filter: Option<&Filter>,
        each: &mut dyn FnMut(Record) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let failed = format!(
            "{} WHERE work.state IN (3, 4) AND work.state <> 2",
            page::records()
        );
        let order = "ORDER BY work.state, work.job";
        let Some(filter) = filter else {
            return self.stream(&format!("{failed} {order}"), [], each);
        };
        causes::define(self.connection())?;
        let selected = filter.conditions();
        let sql = format!("{failed} AND {} {order}", selected.sql);
        self.stream(&sql, params_from_iter(selected.values), each)
    }

    fn stream<E: From<StoreError>>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        each: &mut dyn FnMut(Record) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.rows(sql, params, &mut |row| {
            each(page::with_columns(row, self.base())?)
        })
    }

    /// Returns the exports and events files that stride wrote for this run.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn artifacts(&self) -> Result<Vec<PathBuf>> {
        let (sql, what) = ("SELECT path FROM artifact", "reading the written files");
        all(self.connection(), sql, [], what, |row| {
            let path: Vec<u8> = row.get(0)?;
            Ok(OsStr::from_bytes(&path).into())
        })
    }

    /// Returns the files from which the run's list was read.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn list_files(&self) -> Result<Vec<PathBuf>> {
        let (sql, what) = ("SELECT path FROM list", "reading the files of the list");
        let base = self.base();
        all(self.connection(), sql, [], what, |row| {
            let path: Vec<u8> = row.get(0)?;
            Ok(base.join(OsStr::from_bytes(&path)))
        })
    }
}

impl Reader {
    /// Returns whether the list is a table.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn is_table(&self) -> Result<bool> {
        has_columns(self.connection())
    }

    /// Passes on the rows of a list that is a table, as JSON objects in list order.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or `each` fails.
    pub fn list_rows<E: From<StoreError>>(
        &self,
        each: &mut dyn FnMut(&str) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.rows("SELECT fields FROM columns ORDER BY job", [], &mut |row| {
            let fields = row.get_ref(0).and_then(|fields| Ok(fields.as_str()?));
            each(fields.map_err(doing("reading the columns"))?)
        })
    }
}

/// Returns true if a job has columns.
pub(super) fn has_columns(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM columns)";
    value(connection, sql, "reading the columns")
}

pub(super) fn json<T: DeserializeOwned>(connection: &Connection, sql: &str) -> Result<T> {
    let text: String = value(connection, sql, "reading the settings")?;
    serde_json::from_str(&text).map_err(failed("reading the settings"))
}
