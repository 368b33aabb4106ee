//! Limits that a service states along with an answer.

use std::time::Duration;

/// The service's limits, as the headers of an answer or a failure state them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// The limit with the shortest window.
    pub policy: Option<Policy>,
    /// The number of calls left until the reset.
    pub remaining: Option<u64>,
    /// The time until the allowance is full again.
    pub reset: Option<Duration>,
}

impl Hint {
    /// Returns whether the answer stated no limit.
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
