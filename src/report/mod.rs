//! Makes a page about a run: one HTML file that needs no script and no other resource.
//!
//! [`Report::new`] adds up all attempts in one pass; its memory does not grow with jobs or attempts. [`Report::html`] makes
//! the page from these sums alone.

mod charts;
mod failures;
mod html;
mod page;
mod settings;
mod snapshot;
mod sums;
mod tables;
mod timeline;
mod words;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::atomic_file::{self, AtomicFileError};
use crate::job::FileName;
use crate::store::{Reader, StoreError};
use snapshot::Snapshot;
pub use words::stop_reason;

/// A report on a run at one moment.
#[derive(Debug)]
pub struct Report(Snapshot);

/// An error of making or writing a report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The report cannot be written.
    #[error("cannot write {target}")]
    Write {
        /// The file.
        target: String,
        /// The cause.
        source: io::Error,
    },
    /// The target is a file of the run itself, or not a file.
    #[error("{} cannot be the report: {reason}", FileName::from(.path.as_path()))]
    Target {
        /// The file.
        path: PathBuf,
        /// The reason for the refusal.
        reason: &'static str,
    },
}

impl From<AtomicFileError> for ReportError {
    fn from(error: AtomicFileError) -> Self {
        match error {
            AtomicFileError::Write { target, source } => Self::Write { target, source },
            AtomicFileError::Target { path, reason } => Self::Target { path, reason },
        }
    }
}

impl Report {
    /// Reads a run. `now` is in milliseconds since 1970; `is_working` says that a process works on the run.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn new(reader: &Reader, now: i64, is_working: bool) -> Result<Self, StoreError> {
        Snapshot::read(reader, now, is_working).map(Self)
    }

    /// Returns the page: a whole HTML document of less than a megabyte.
    pub fn html(&self) -> String {
        page::page(&self.0)
    }

    /// Writes the page to a file, whole or not at all. Only the file's owner can read it.
    ///
    /// # Errors
    ///
    /// The file cannot be written. Then an old file stays as it was.
    pub fn to_file(&self, path: &Path) -> Result<(), ReportError> {
        atomic_file::write(&self.0.database, path, |file| {
            file.write_all(self.html().as_bytes())
                .map_err(|source| ReportError::Write {
                    target: FileName::from(path).to_string(),
                    source,
                })
        })
    }
}
