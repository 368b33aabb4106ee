//! Errors of a program's run.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::engine::RunError;
use crate::export::ExportError;
use crate::job::FileName;
use crate::store::StoreError;

/// An error of a [`Run`](super::Run).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The run has another workload.
    #[error("this run's workload is not `{asked}`")]
    OtherWorkload {
        /// The requested workload.
        asked: String,
    },
    /// A rescue file of an earlier process cannot be imported. Its files would be called again.
    #[error("the rescue file {} cannot be imported", FileName::from(.path.as_path()))]
    RefusedRescue {
        /// The rescue file, or a folder that may hold some.
        path: PathBuf,
        /// The cause.
        #[source]
        reason: io::Error,
    },
    /// The current folder cannot be found.
    #[error("the current folder cannot be found")]
    Folder(#[from] io::Error),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The export failed.
    #[error(transparent)]
    Export(#[from] ExportError),
}
