//! Messages to the writer.

use crate::store::{Claim, Settlement};

/// The urgency of a stop request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Make no new calls; let those in flight end, within the grace.
    Drain,
    /// Drop the calls in flight: they become in doubt.
    Now,
}

/// A message to the writer.
#[derive(Debug)]
pub(super) enum Message {
    /// Calls have ended, and their slots are free.
    Reports(Vec<Report>),
    /// A stop is requested.
    Stop(Urgency),
}

/// A slot's report of an ended call.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) slot: usize,
    pub(super) claim: Claim,
    pub(super) settlement: Settlement,
    /// The caller panicked, and its slot has ended.
    pub(super) panicked: bool,
}
