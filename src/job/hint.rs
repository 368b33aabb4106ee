//! What a service says about its own limits along with an answer.

use std::time::Duration;

/// What an answer's headers say about the service's limits, whether or not it was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// The limit itself: the one with the shortest window, where several are stated.
    pub policy: Option<Policy>,
    /// How many calls are left until the reset.
    pub remaining: Option<u64>,
    /// The time until the allowance is whole again.
    pub reset: Option<Duration>,
}

impl Hint {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// So many calls in a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The calls.
    pub calls: u64,
    /// The window, longer than nothing.
    pub window: Duration,
}
