//! A page about a run: one HTML file with everything in it, that needs no script and no other resource.
//!
//! [`Report::of`] makes sums of every attempt in one pass, in memory that grows with neither jobs nor attempts;
//! [`Report::html`] makes the page of them, without looking at anything else.

mod axis;
mod chart;
mod charts;
mod failures;
mod gather;
mod histogram;
mod html;
mod kept;
mod lanes;
mod lists;
mod page;
mod scale;
mod sums;
mod table;
mod words;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::event::Counts;
use crate::job::FileName;
use crate::store::{Cause, Reader, Record, RunInfo, Runner, StoreError};
use crate::whole::{self, WholeError};
use axis::Axis;
use sums::{Slow, Sums};
pub use words::stop_reason;

/// What there is to say about a run.
#[derive(Debug)]
pub struct Report {
    /// Where the run's database lies.
    database: PathBuf,
    /// When it was looked at, in milliseconds since 1970.
    now: i64,
    /// The process that works on it.
    working: Option<u32>,
    info: RunInfo,
    counts: Counts,
    runners: Vec<Seen>,
    axis: Axis,
    sums: Sums,
    /// The slowest calls, with their jobs' names.
    slowest: Vec<(Slow, FileName)>,
    causes: Vec<Cause>,
    /// The first jobs that failed or are held.
    failed: Vec<Record>,
}

/// A runner, and until when it was seen at work.
#[derive(Debug)]
struct Seen {
    runner: Runner,
    /// When it began and ended, as far as the time line goes.
    begin: i64,
    end: i64,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The report cannot be written.
    #[error("cannot write {target}")]
    Write {
        /// Where to.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The target is a file of the run itself, or not a file.
    #[error("{} cannot be the report: {reason}", FileName::from(.path.as_path()))]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

impl From<WholeError> for ReportError {
    fn from(error: WholeError) -> Self {
        match error {
            WholeError::Write { target, source } => Self::Write { target, source },
            WholeError::Target { path, reason } => Self::Target { path, reason },
        }
    }
}

impl Report {
    /// Looks at a run. `now` is the moment, in milliseconds since 1970, and `working` the process that works on the run.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn of(reader: &Reader, now: i64, working: Option<u32>) -> Result<Self, StoreError> {
        gather::gather(reader, now, working)
    }

    /// The page: a whole HTML document of less than a megabyte.
    pub fn html(&self) -> String {
        page::page(self)
    }

    /// Writes the page to a file, whole or not at all. The new file is readable by its owner alone.
    ///
    /// # Errors
    ///
    /// It cannot be written; then the old file, or its absence, is untouched.
    pub fn to_file(&self, path: &Path) -> Result<(), ReportError> {
        let html = self.html();
        whole::write(&self.database, path, |file| {
            file.write_all(html.as_bytes())
                .map_err(|source| ReportError::Write {
                    target: FileName::from(path).to_string(),
                    source,
                })
        })
    }
}
