//! The end of a run.

use crate::event::{Counts, Ending};
use crate::job::FileName;

/// The end of a run, and its state then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The kind of ending.
    pub ending: Ending,
    /// Jobs by state.
    pub counts: Counts,
    /// Jobs whose call a stop cut off.
    pub in_doubt: Vec<FileName>,
}
