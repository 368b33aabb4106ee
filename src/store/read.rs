//! Reads what a run is and how its jobs stand.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;

use super::causes;
use super::counts::counts;
use super::error::{Result, StoreError, doing};
use super::filter::Filter;
use super::pace::{self, Noted};
use super::page::{self, RECORD, TABLES};
use super::reader::Reader;
use super::record::{Record, RunInfo, Stopped};
use super::values::path_to_sql;
use crate::event::Counts;
use crate::job::FileName;

impl Reader {
    /// How many jobs are in which state.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn counts(&self) -> Result<Counts> {
        counts(self.connection())
    }

    /// What the run is.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn info(&self) -> Result<RunInfo> {
        let latest = self
            .connection()
            .query_row("SELECT count(*), max(id) FROM runner", [], |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?))
            })
            .and_then(|(runners, latest): (u64, _)| {
                let Some(id) = latest else {
                    return Ok((runners, None, None));
                };
                self.connection().query_row(
                    "SELECT started, ended, ending FROM runner WHERE id = ?1",
                    [id],
                    |row| {
                        let ended = row
                            .get::<_, Option<i64>>(1)?
                            .zip(row.get::<_, Option<String>>(2)?);
                        Ok((runners, Some(row.get(0)?), ended))
                    },
                )
            });
        let (runners, started, ended) = latest.map_err(doing("reading the runners"))?;
        let created = self
            .connection()
            .query_row("SELECT created FROM run", [], |row| row.get(0))
            .map_err(doing("reading the run"))?;
        Ok(RunInfo {
            created,
            base: base(self.connection(), self.path())?,
            call: json(self.connection(), "SELECT call FROM run")?,
            settings: json(self.connection(), "SELECT settings FROM run")?,
            runners,
            started,
            ended,
            stopped: self.stopped()?,
        })
    }

    /// Reads why the latest runner stopped early.
    fn stopped(&self) -> Result<Option<Stopped>> {
        let columns = "SELECT stopped, stopped_action, stopped_until, stopped_words FROM runner ORDER BY id DESC LIMIT 1";
        let row = self.connection().query_row(columns, [], |row| {
            let reason: Option<String> = row.get(0)?;
            let Some((reason, action)) = reason.zip(row.get(1)?) else {
                return Ok(None);
            };
            Ok(Some(Stopped {
                reason,
                action,
                until: row.get(2)?,
                words: row.get(3)?,
            }))
        });
        let row = row.optional().map_err(doing("reading the runners"))?;
        Ok(row.flatten())
    }

    /// Returns what the latest runner noted of its flow.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn noted(&self) -> Result<Noted> {
        pace::noted(self.connection())
    }

    /// Hands over jobs with their results, in list order: those that are done, or all of them.
    ///
    /// # Errors
    ///
    /// The database cannot be read, a result is not what was recorded, or whatever `each` returns.
    pub fn records<E: From<StoreError>>(
        &self,
        all: bool,
        each: &mut dyn FnMut(Record) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let chosen = if all { "" } else { "WHERE work.state = 2" };
        let sql = format!("{RECORD} {TABLES} {chosen} ORDER BY work.job");
        self.stream(&sql, [], each)
    }

    /// A job with its result, by its name.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or the result is not what was recorded.
    pub fn record(&self, name: &FileName) -> Result<Option<Record>> {
        let mut found = None;
        let sql = format!("{RECORD} {TABLES} WHERE job.path = ?1");
        self.stream(&sql, [path_to_sql(name)], &mut |record| {
            found = Some(record);
            Ok::<_, StoreError>(())
        })?;
        Ok(found)
    }

    /// Hands over the jobs that failed or are held and that `filter` chooses, in list order within each state. Without a
    /// filter it is all of them.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or whatever `each` returns.
    pub fn failures<E: From<StoreError>>(
        &self,
        filter: Option<&Filter>,
        each: &mut dyn FnMut(Record) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let failed = format!("{RECORD} {TABLES} WHERE work.state IN (3, 4) AND work.state <> 2");
        let order = "ORDER BY work.state, work.job";
        let Some(filter) = filter else {
            return self.stream(&format!("{failed} {order}"), [], each);
        };
        causes::define(self.connection())?;
        let sql = format!("{failed} AND {} {order}", Filter::condition());
        let values = filter.values();
        let values = values.each_ref().map(|(name, value)| (*name, &**value));
        self.stream(&sql, &values[..], each)
    }

    fn stream<E: From<StoreError>>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        each: &mut dyn FnMut(Record) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.rows(sql, params, &mut |row| each(page::record(row)?))
    }

    /// The files that stride wrote for this run elsewhere: exports, events.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn artifacts(&self) -> Result<Vec<PathBuf>> {
        self.connection()
            .prepare("SELECT path FROM artifact")
            .and_then(|mut statement| {
                let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
                rows.map(|path| path.map(|path| OsStr::from_bytes(&path).into()))
                    .collect()
            })
            .map_err(doing("reading what was written"))
    }
}

/// Whether any job came from a list that was a table.
pub(super) fn has_columns(connection: &Connection) -> Result<bool> {
    connection
        .query_row("SELECT EXISTS (SELECT 1 FROM columns)", [], |row| {
            row.get(0)
        })
        .map_err(doing("looking for columns"))
}

/// The folder against which names resolve.
pub(super) fn base(connection: &Connection, database: &Path) -> Result<PathBuf> {
    let base: Vec<u8> = connection
        .query_row("SELECT base FROM run", [], |row| row.get(0))
        .map_err(doing("reading the run"))?;
    let base = Path::new(OsStr::from_bytes(&base));
    let folder = database.parent().unwrap_or(Path::new("/"));
    // Drops the `.` of a base that is the database's own folder.
    Ok(folder.join(base).components().collect())
}

pub(super) fn json<T: DeserializeOwned>(connection: &Connection, sql: &str) -> Result<T> {
    let text: String = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(doing("reading the settings"))?;
    serde_json::from_str(&text).map_err(|error| StoreError::Failed {
        doing: "reading the settings",
        source: error.into(),
    })
}
