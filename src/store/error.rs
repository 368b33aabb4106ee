//! Errors of the store, as users can act on them.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

use super::holder::Holder;
use crate::job::{FileName, JobId};
use crate::text::size;

/// The cause of an error, such as an error of SQLite or of the system.
pub(super) type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error of a run's database.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database does not exist.
    #[error("there is no run at {}", FileName::from(.0.as_path()))]
    Missing(PathBuf),
    /// A new run would replace this file.
    #[error("{} exists already", FileName::from(.0.as_path()))]
    Exists(PathBuf),
    /// The database is missing, and SQLite would take these files beside its path for those of a new one.
    #[error("{} is left of a deleted or moved database", FileName::from(.0[0].as_path()))]
    Left(Vec<PathBuf>),
    /// The file is not a run's database.
    #[error("{} is not a run's database", FileName::from(.0.as_path()))]
    Foreign(PathBuf),
    /// A later version made the database.
    #[error("{} has schema version {found}; this program knows up to {known}", FileName::from(.path.as_path()))]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version known here.
        known: i64,
    },
    /// A build before the first release made the database.
    #[error("{} has schema version {found}: an earlier build made it", FileName::from(.path.as_path()))]
    Older {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Another process works on the run.
    #[error("{} is in use by {}", FileName::from(.path.as_path()), Holder::show(.holder.as_ref()))]
    Busy {
        /// The database.
        path: PathBuf,
        /// The process, if it is known.
        holder: Option<Holder>,
    },
    /// Another program removed or replaced this file, the database or its WAL, while it was open.
    #[error("{} was removed or replaced", FileName::from(.0.as_path()))]
    Gone(PathBuf),
    /// Another program cut this WAL short while a runner worked. The latest commits are lost.
    #[error("{} was cut short by another program, and what was recorded last is lost", FileName::from(.0.as_path()))]
    Cut(PathBuf),
    /// The lock was lost and another runner has taken over.
    #[error("another process has taken over this run")]
    Usurped,
    /// The settled attempt is not the job's running one.
    #[error("attempt {number} of job {} is not running", .job.0)]
    Stale {
        /// The job.
        job: JobId,
        /// The attempt's number.
        number: u32,
    },
    /// A list has a name twice, with different columns.
    #[error("{path} is in the list twice, with different columns")]
    Conflict {
        /// The name.
        path: FileName,
        /// The numbers of both rows among the jobs that were added, counted from 0.
        rows: (u64, u64),
    },
    /// A stored result does not match its checksum.
    #[error("the stored result of {path} is damaged")]
    DamagedResult {
        /// The job's name.
        path: FileName,
    },
    /// A result's file is missing or changed.
    #[error("the result of {path}, in the file {file}, cannot be used")]
    File {
        /// The job's name.
        path: FileName,
        /// The file.
        file: FileName,
        /// The cause.
        source: std::io::Error,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", FileName::from(.path.as_path()))]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The database cannot be opened or created.
    #[error("cannot use {}", FileName::from(.path.as_path()))]
    Unusable {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: Source,
    },
    /// The disk is full.
    #[error("the disk is full: the database could not be written while {doing}")]
    Full {
        /// The operation that failed.
        doing: &'static str,
        /// The cause.
        source: Source,
    },
    /// Less than `--min-free` was free on the disk for longer than an outage may last.
    #[error("there is no room for results: {} are free on the disk of {}, and {} have to be", size(*.free), FileName::from(.path.as_path()), size(*.kept))]
    NoRoom {
        /// The database.
        path: PathBuf,
        /// Free space, in bytes.
        free: u64,
        /// Required free space, in bytes.
        kept: u64,
    },
    /// Another program kept a transaction open for too long.
    #[error("the database is busy: another program has kept it locked")]
    Locked {
        /// The operation that failed.
        doing: &'static str,
    },
    /// SQLite found the database damaged.
    #[error("the database is damaged, as was found while {doing}")]
    Damaged {
        /// The operation that failed.
        doing: &'static str,
        /// The damage.
        source: Source,
    },
    /// The database is on a file system whose locks and syncs are unreliable.
    #[error("{} lies on {filesystem}, a network file system", FileName::from(.path.as_path()))]
    Network {
        /// The database.
        path: PathBuf,
        /// The kind of file system.
        filesystem: String,
    },
    /// The database has several hard links, each of which would have a WAL of its own.
    #[error("{} is one of {names} names of one file", FileName::from(.path.as_path()))]
    ManyNames {
        /// The database.
        path: PathBuf,
        /// Number of hard links.
        names: u64,
    },
    /// The database or a file beside it is a mount of its own, so its neighbours are not those of the mounted file.
    #[error("{} is a mount of a single file", FileName::from(.0.as_path()))]
    Mounted(PathBuf),
    /// The user stopped a check of this database.
    #[error("the check of {} was stopped", FileName::from(.0.as_path()))]
    Unchecked(PathBuf),
    /// SQLite failed to read or write.
    #[error("the database failed while {doing}")]
    Failed {
        /// The operation that failed.
        doing: &'static str,
        /// The cause.
        source: Source,
    },
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;

/// Wraps an error of SQLite with the operation that failed.
pub(super) fn doing(what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full {
            doing: what,
            source: error.into(),
        },
        Some(ErrorCode::DatabaseBusy) => StoreError::Locked { doing: what },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged {
            doing: what,
            source: error.into(),
        },
        _ => failed(what)(error),
    }
}

/// Wraps an error of another library with the operation that failed.
pub(super) fn failed<E: Into<Source>>(what: &'static str) -> impl Fn(E) -> StoreError {
    move |error| StoreError::Failed {
        doing: what,
        source: error.into(),
    }
}

/// Wraps an error with the database that cannot be used.
pub(super) fn unusable<E: Into<Source>>(path: &Path) -> impl Fn(E) -> StoreError {
    move |error| StoreError::Unusable {
        path: path.to_owned(),
        source: error.into(),
    }
}
