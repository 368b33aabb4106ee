//! What can go wrong with a database, as its users can act on it.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

use super::holder::Holder;
use crate::job::{FileName, JobId};
use crate::text::size;

/// What went wrong with a run's database.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("there is no run at {}", FileName::from(.path.as_path()))]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// A run was to be made where something is.
    #[error("{} exists already", FileName::from(.path.as_path()))]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The file is not a run's database.
    #[error("{} is not a run's database", FileName::from(.path.as_path()))]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The database was made by a later version.
    #[error("{} has schema version {found}; this program knows up to {known}", FileName::from(.path.as_path()))]
    Newer {
        /// Which.
        path: PathBuf,
        /// The database's version.
        found: i64,
        /// The newest version known here.
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
    /// Another runner works on the run.
    #[error("another runner has {}{}", FileName::from(.path.as_path()), Holder::show(.holder.as_ref()))]
    Busy {
        /// Which database.
        path: PathBuf,
        /// Who has it, as far as it is known.
        holder: Option<Holder>,
    },
    /// The database is open here, and its name, or that of its log, leads to nothing or to another file.
    #[error("{} was removed or replaced", FileName::from(.path.as_path()))]
    Gone {
        /// Which file.
        path: PathBuf,
    },
    /// The log beside the database was cut short while a runner worked: what was recorded last is gone.
    #[error("{} was cut short by another program, and what was recorded last is lost", FileName::from(.path.as_path()))]
    Cut {
        /// The log.
        path: PathBuf,
    },
    /// The lock was lost and another runner has taken over.
    #[error("another runner has taken this run over")]
    Usurped,
    /// A settlement came for an attempt that is not the job's running one.
    #[error("attempt {number} of job {} is not running", .job.0)]
    Stale {
        /// The job.
        job: JobId,
        /// The attempt's number.
        number: u32,
    },
    /// A stored result is not what was recorded.
    #[error("the stored result of {path} is damaged")]
    DamagedResult {
        /// The job's name.
        path: FileName,
    },
    /// The file that a result is in is not there, or not what was recorded.
    #[error("the result of {path}, in the file {file}, cannot be used")]
    File {
        /// The job's name.
        path: FileName,
        /// The file.
        file: FileName,
        /// Why.
        source: std::io::Error,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", FileName::from(.path.as_path()))]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be opened or is damaged.
    #[error("cannot use {}", FileName::from(.path.as_path()))]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room for what was to be written.
    #[error("the disk is full: the database could not be written while {doing}")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What has to be free on the disk is not, and has not been for longer than there was patience for.
    #[error("there is no room for results: {} are free on the disk of {}, and {} have to be", size(*.free), FileName::from(.path.as_path()), size(*.kept))]
    NoRoom {
        /// The database.
        path: PathBuf,
        /// What is free, in bytes.
        free: u64,
        /// What has to be.
        kept: u64,
    },
    /// Somebody else has a transaction open in the database, and has had it for longer than there was patience for.
    #[error("the database is busy: somebody else has kept it locked")]
    Locked {
        /// What was being done.
        doing: &'static str,
    },
    /// What SQLite reads is no sound database.
    #[error("the database is damaged, as was found while {doing}")]
    Damaged {
        /// What was being done.
        doing: &'static str,
        /// What was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database lies where locks and syncs are not to be relied upon.
    #[error("{} lies on {filesystem}, a network file system", FileName::from(.path.as_path()))]
    Network {
        /// Which database.
        path: PathBuf,
        /// The kind of file system.
        filesystem: String,
    },
    /// The database has several names, each of which would have a log of its own.
    #[error("{} is one of {names} names of one file", FileName::from(.path.as_path()))]
    ManyNames {
        /// Which database.
        path: PathBuf,
        /// How many names there are.
        names: u64,
    },
    /// The database, or a file beside it that belongs to it, is mounted by itself: through the mount it has another lock and
    /// another log than where it lies.
    #[error("{} is a mount of a single file", FileName::from(.path.as_path()))]
    Mounted {
        /// Which file.
        path: PathBuf,
    },
    /// The user has ended a check of the database.
    #[error("the check of {} was stopped", FileName::from(.path.as_path()))]
    Unchecked {
        /// Which database.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("the database failed while {doing}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;

/// Wraps an error of the driver with what was being done.
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
        _ => StoreError::Failed {
            doing: what,
            source: error.into(),
        },
    }
}
