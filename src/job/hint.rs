//! What a service states along with an answer: its limits, and the cost of the call.

use std::time::Duration;

use super::bill::Bill;

/// The service's limits, as the headers of an answer or a failure state them, and the cost and weight of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// The limit with the shortest window.
    pub policy: Option<Policy>,
    /// The number of calls left until the reset.
    pub remaining: Option<u64>,
    /// The time until the allowance is full again.
    pub reset: Option<Duration>,
    /// The cost and the weight of the call.
    pub bill: Bill,
}

impl Hint {
    /// Returns whether the answer stated nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A limit of calls per window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The number of calls.
    pub calls: u64,
    /// The window. It is never zero.
    pub window: Duration,
}
