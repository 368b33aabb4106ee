//! Errors of a run.

use thiserror::Error;

use crate::store::{Rescued, StoreError};

/// Why a run could not go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The database failed. Nothing was committed after that.
    #[error("the run's database cannot be written")]
    Store {
        /// Why.
        source: StoreError,
        /// What became of what the calls in flight came to.
        rescued: Box<Rescued>,
        /// Calls that had come to nothing when the process did not wait any longer.
        in_flight: usize,
    },
    /// A run needs a thread.
    #[error("a run needs at least one thread")]
    NoThreads,
    /// A caller could not be made. No call was made.
    #[error("cannot make the caller of thread {index}")]
    Caller {
        /// Which thread's.
        index: usize,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread could not be made. No call was made.
    #[error("cannot start thread {index}")]
    Thread {
        /// Which.
        index: usize,
        /// Why.
        source: std::io::Error,
    },
}
