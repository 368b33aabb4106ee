//! The outcome of a run.

use crate::event::{Counts, Ending};
use crate::job::FileName;
use crate::limits::Usage;

/// The outcome of a run: how it ended, and the final state of its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// The kind of ending.
    pub ending: Ending,
    /// Jobs by state.
    pub counts: Counts,
    /// Jobs whose call a stop cut off.
    pub in_doubt: Vec<FileName>,
    /// Calls, cost and working time of the run, over all sessions.
    pub used: Usage,
}
