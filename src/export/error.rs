//! Errors of exports.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::atomic_file::AtomicFileError;
use crate::event::Counts;
use crate::job::FileName;
use crate::store::StoreError;

/// Why nothing was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Some jobs are not done, and the selection is the whole.
    #[error("not everything is done: {} of {} files have a result", .counts.done, .counts.total)]
    Incomplete {
        /// Where the run stands.
        counts: Counts,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An expression has no value for a result.
    #[error("nothing can be extracted from the result of {path}")]
    Extract {
        /// The job's name.
        path: FileName,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file that a result is in cannot be read.
    #[error("the result of {path} cannot be read")]
    Read {
        /// The job's name.
        path: FileName,
        /// Why.
        source: io::Error,
    },
    /// The export cannot be written.
    #[error("cannot write {target}")]
    Write {
        /// Where to.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The target is a file of the run itself, or not a file.
    #[error("{} cannot be the export: {reason}", FileName::from(.path.as_path()))]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
}

impl From<AtomicFileError> for ExportError {
    fn from(error: AtomicFileError) -> Self {
        match error {
            AtomicFileError::Write { target, source } => Self::Write { target, source },
            AtomicFileError::Target { path, reason } => Self::Target { path, reason },
        }
    }
}

pub(super) fn write_failed(source: io::Error) -> ExportError {
    ExportError::Write {
        target: "the export".to_owned(),
        source,
    }
}
