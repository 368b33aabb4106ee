//! Errors of exports.

use std::io;

use thiserror::Error;

use crate::atomic_file::FileError;
use crate::event::Counts;
use crate::job::FileName;
use crate::store::StoreError;

/// An error of an export.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Some jobs are not done, and the whole run was to be exported.
    #[error("incomplete run: {} of {} files have a result", .counts.done, .counts.total)]
    Incomplete {
        /// The number of jobs in each state.
        counts: Counts,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No value can be extracted from a result.
    #[error("cannot extract a value from the result of {path}")]
    Extract {
        /// The job's name.
        path: FileName,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file of a result cannot be read.
    #[error("cannot read the result of {path}")]
    Read {
        /// The job's name.
        path: FileName,
        /// The cause.
        source: io::Error,
    },
    /// The export cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

pub(super) fn write_failed(source: io::Error) -> ExportError {
    FileError::Write {
        target: "the export".to_owned(),
        source,
    }
    .into()
}
