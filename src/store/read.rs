//! Looking at a run: one snapshot, whoever writes meanwhile.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::de::DeserializeOwned;

use super::body::Filed;
use super::connection::{self, Mode, doing};
use super::error::Result;
use super::pace::{self, Noted};
use super::page::{self, Page, RECORD};
use super::requeue::Filter;
use super::{StoreError, causes, lock, miscounted};
use crate::event::Counts;
use crate::job::{Body, Class, FileName, JobState};
use crate::settings::{Call, Settings};

/// A look at a run, in one snapshot.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

/// What a run is.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// The folder against which names resolve.
    pub base: PathBuf,
    /// What a call is.
    pub call: Call,
    /// The free settings, as last given.
    pub settings: Settings,
    /// How many runners have worked on it.
    pub runners: u64,
    /// When the latest one began, in milliseconds since 1970.
    pub started: Option<i64>,
    /// When and how the latest one ended, if it has.
    pub ended: Option<(i64, String)>,
    /// Why the latest one stopped early, if a guard or a limit stopped it.
    pub stopped: Option<Stopped>,
}

/// The stop of a runner by a guard or a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The reason, as [`crate::governor::Reason::as_str`] has it.
    pub reason: String,
    /// The way out, as [`crate::governor::Action::as_str`] has it.
    pub action: String,
    /// The moment until which the service asked to wait, in milliseconds since 1970.
    pub until: Option<i64>,
    /// The last failure in the service's own words.
    pub words: Option<String>,
}

/// A job with its latest attempt and its result.
#[derive(Debug, Clone)]
pub struct Record {
    /// The job's name.
    pub path: FileName,
    /// Where it stands.
    pub state: JobState,
    /// How many attempts it had.
    pub attempts: u32,
    /// What the latest attempt came to.
    pub outcome: Option<String>,
    /// The failure's class.
    pub class: Option<Class>,
    /// The failure's kind.
    pub kind: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The failure in one line.
    pub message: Option<String>,
    /// The beginning of an error's body.
    pub error_body: Option<Vec<u8>>,
    /// When the latest attempt began, in milliseconds since 1970.
    pub started: Option<i64>,
    /// How long it took, in milliseconds.
    pub took: Option<i64>,
    /// The result, if there is one that is what was recorded.
    pub result: Option<Stored>,
    /// Whether there is one that is not.
    pub is_damaged: bool,
}

/// A stored result.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The `Content-Type` as received.
    pub media_type: Option<String>,
    /// The headers, as a JSON object from lower-case name to value, where they were kept.
    pub headers: Option<String>,
    /// The body as received; empty where it lies in a file that was not opened.
    pub body: Body,
    /// The file that it lies in.
    pub file: Option<Filed>,
}

impl Stored {
    /// Its body, wherever it lies; `job` is whose it is. A file is checked when it is opened first; a body that was put
    /// in its place is taken as it is.
    ///
    /// # Errors
    ///
    /// The file that it lies in is not there, or is not what was recorded.
    pub fn open(&self, job: &FileName) -> Result<Body> {
        match &self.file {
            Some(file) if self.body.path().is_none() => file.open_for(job),
            _ => Ok(self.body.clone()),
        }
    }
}

/// What is found of jobs and their results.
#[derive(Debug)]
pub enum Found {
    /// Some of them.
    Page(Page),
    /// One that is so large that there should not be many in memory.
    Large(Box<Record>),
}

impl Reader {
    /// Opens a run to look at it; everything read is of this one moment.
    ///
    /// # Errors
    ///
    /// The database is missing, not a run's, newer or damaged.
    pub fn open(database: &Path) -> Result<Self> {
        let path = lock::resolve(database)?;
        let connection = connection::open(&path, Mode::Read)?;
        // The snapshot begins with the first read inside a transaction.
        connection
            .execute_batch("BEGIN")
            .and_then(|()| connection.query_row("SELECT 1 FROM run", [], |_| Ok(())))
            .map_err(doing("looking at the run"))?;
        Ok(Self { connection, path })
    }

    /// Where the database lies: absolute and resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// How many jobs are in which state.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn counts(&self) -> Result<Counts> {
        counts(&self.connection)
    }

    /// What the run is.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn info(&self) -> Result<RunInfo> {
        let latest = self
            .connection
            .query_row("SELECT count(*), max(id) FROM runner", [], |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?))
            })
            .and_then(|(runners, latest): (u64, _)| {
                let Some(id) = latest else {
                    return Ok((runners, None, None));
                };
                self.connection.query_row(
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
            .connection
            .query_row("SELECT created FROM run", [], |row| row.get(0))
            .map_err(doing("reading the run"))?;
        Ok(RunInfo {
            created,
            base: base(&self.connection, &self.path)?,
            call: json(&self.connection, "SELECT call FROM run")?,
            settings: json(&self.connection, "SELECT settings FROM run")?,
            runners,
            started,
            ended,
            stopped: self.stopped()?,
        })
    }

    /// Reads why the latest runner stopped early.
    fn stopped(&self) -> Result<Option<Stopped>> {
        let columns = "SELECT stopped, stopped_action, stopped_until, stopped_words FROM runner ORDER BY id DESC LIMIT 1";
        let row = self.connection.query_row(columns, [], |row| {
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
        pace::noted(&self.connection)
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
        let sql = format!("{RECORD} {chosen} ORDER BY work.job");
        self.stream(&sql, [], each)
    }

    /// A job with its result, by its name.
    ///
    /// # Errors
    ///
    /// The database cannot be read, or the result is not what was recorded.
    pub fn record(&self, name: &FileName) -> Result<Option<Record>> {
        let mut found = None;
        let sql = format!("{RECORD} WHERE job.path = ?1");
        self.stream(&sql, [super::path_to_sql(name)], &mut |record| {
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
        let failed = format!("{RECORD} WHERE work.state IN (3, 4) AND work.state <> 2");
        let order = "ORDER BY work.state, work.job";
        let Some(filter) = filter else {
            return self.stream(&format!("{failed} {order}"), [], each);
        };
        causes::define(&self.connection)?;
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

    pub(super) fn rows<E: From<StoreError>>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        each: &mut dyn FnMut(&Row<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut statement = self
            .connection
            .prepare(sql)
            .map_err(doing("reading jobs"))?;
        let mut rows = statement.query(params).map_err(doing("reading jobs"))?;
        while let Some(row) = rows.next().map_err(doing("reading jobs"))? {
            each(row)?;
        }
        Ok(())
    }

    /// The files that stride wrote for this run elsewhere: exports, events.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn artifacts(&self) -> Result<Vec<PathBuf>> {
        self.connection
            .prepare("SELECT path FROM artifact")
            .and_then(|mut statement| {
                let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
                rows.map(|path| path.map(|path| OsStr::from_bytes(&path).into()))
                    .collect()
            })
            .map_err(doing("reading what was written"))
    }
}

pub(super) fn counts(connection: &Connection) -> Result<Counts> {
    let columns = "SELECT pending, running, done, failed, held, attempts, in_doubt, in_doubt_recovered FROM counts";
    let counts = connection.query_row(columns, [], |row| {
        Ok(Counts {
            total: 0,
            pending: row.get(0)?,
            running: row.get(1)?,
            done: row.get(2)?,
            failed: row.get(3)?,
            held: row.get(4)?,
            attempts: row.get(5)?,
            in_doubt: row.get(6)?,
            in_doubt_recovered: row.get(7)?,
        })
    });
    let counts = counts.map_err(doing("reading the counts"))?;
    let states = JobState::ALL.map(|state| counts.of(state));
    let total = states.into_iter().try_fold(0, u64::checked_add);
    Ok(Counts {
        total: total.ok_or_else(miscounted)?,
        ..counts
    })
}

/// Looks whether the counts are about as many jobs as there are, which ids without gaps tell at once. All later
/// changes to the counts are made to these, and from wrong ones nothing right can be reached.
pub(super) fn check_total(connection: &Connection, counts: &Counts) -> Result<()> {
    let total: u64 = connection
        .query_row("SELECT coalesce(max(id) + 1, 0) FROM job", [], |row| {
            row.get(0)
        })
        .map_err(doing("counting the list"))?;
    if total == counts.total {
        return Ok(());
    }
    let source = format!(
        "the counts say {} files, and there are {total}",
        counts.total
    );
    Err(StoreError::Damaged {
        doing: "reading the counts",
        source: source.into(),
    })
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
