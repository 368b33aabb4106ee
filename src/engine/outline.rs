//! The end of a run.

use crate::event::{Counts, Ending};
use crate::job::FileName;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// How.
    pub ending: Ending,
    /// Where the run stands.
    pub counts: Counts,
    /// The jobs whose call the stop cut off.
    pub in_doubt: Vec<FileName>,
}
