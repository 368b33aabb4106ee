//! Errors of a run.

use thiserror::Error;

use crate::store::{Rescued, StoreError};

/// The reason why a run could not continue.
#[derive(Debug, Error)]
pub enum RunError {
    /// The database failed. Nothing was committed after that.
    #[error("the run's database failed")]
    Store {
        /// The cause.
        source: StoreError,
        /// The outcomes saved outside the database, and the jobs whose outcomes were lost.
        rescued: Box<Rescued>,
        /// Calls without an outcome when the grace ended.
        in_flight: usize,
    },
    /// The number of threads is 0.
    #[error("a run needs at least one thread")]
    NoThreads,
    /// Cannot create a caller. No call was made.
    #[error("cannot make the caller of thread {index}")]
    Caller {
        /// The thread's index.
        index: usize,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Cannot start a thread. No call was made.
    #[error("cannot start a thread")]
    Thread {
        /// The cause.
        source: std::io::Error,
    },
}
