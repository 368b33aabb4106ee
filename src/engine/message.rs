//! Messages to the writer.

use crate::store::{Claim, Settlement};

/// How urgently a run is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Make no new calls; let those in flight end, within the grace.
    Drain,
    /// Drop the calls in flight: they become in doubt.
    Now,
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Calls came to something, and their threads are free.
    Reports(Vec<Report>),
    /// Somebody asks for a stop.
    Stop(Urgency),
}

/// What a chunk thread reports of a call.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) thread: usize,
    pub(super) claim: Claim,
    pub(super) settlement: Settlement,
    /// The caller panicked, and its thread has ended.
    pub(super) panicked: bool,
}
