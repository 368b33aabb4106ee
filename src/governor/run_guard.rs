//! The guard of the run: failures with a cause in the request, in the files, or in their disk, whichever lane called them.

use std::collections::HashSet;

use super::streak::{Ruling, SharedFailure, Streak, Streaks};
use super::types::{Rules, SharedCause, StopReason};
use crate::job::JobId;
use crate::limits::MaxFailures;

/// Tells files at fault from a request or a disk at fault.
#[derive(Debug)]
pub(super) struct RunGuard {
    /// Cause of all rejections so far. The outer `None`: a bad request is no longer suspected.
    rejected_for: Option<Option<u64>>,
    /// The request of the steps before this one is valid: a file has got past them.
    valid_before: u16,
    /// The streaks of [`SharedCause::Disk`] and [`SharedCause::Request`].
    pub(super) streaks: Streaks,
    /// Files that failed while others succeeded.
    suspects: HashSet<JobId>,
    /// Successes and failures of files that had failed for good before.
    repeated: (u64, u64),
    /// Files left to call.
    pub(super) remaining: u64,
    failed: u64,
    done: u64,
}

impl RunGuard {
    /// Calls before the first success, once one was rejected.
    const CAUTION: usize = 40;

    /// Creates a guard. `proven`: a file has succeeded under the present request.
    pub(super) fn new(rules: &Rules, proven: bool) -> Self {
        Self {
            rejected_for: (rules.stops_bad_requests && !proven).then_some(None),
            valid_before: 0,
            streaks: Streaks::new(proven),
            suspects: HashSet::new(),
            repeated: (0, 0),
            remaining: u64::MAX,
            failed: 0,
            done: 0,
        }
    }

    /// Stops the check for requests that are invalid for all files.
    pub(super) fn allow_bad_requests(&mut self) {
        self.rejected_for = None;
    }

    /// Returns true if the calls in flight have to show first whether the request is valid.
    pub(super) fn is_cautious(&self, in_flight: usize) -> bool {
        let rejected = self.streaks.of(SharedCause::Request).files.len();
        self.rejected_for.is_some() && rejected > 0 && rejected + in_flight >= Self::CAUTION
    }

    /// Decides about a rejected file. Returns true if this clears the request, because the causes differ.
    pub(super) fn rejected(&mut self, cause: u64, failure: SharedFailure) -> (Ruling, bool) {
        let Some(watched) = &mut self.rejected_for else {
            return (Ruling::Own, false);
        };
        if failure.step < self.valid_before {
            return (Ruling::Own, false);
        }
        let streak = self.streaks.of_mut(SharedCause::Request);
        if *watched.get_or_insert(cause) != cause {
            self.rejected_for = None;
            *streak = Streak::default();
            return (Ruling::Own, true);
        }
        streak.add(failure);
        let (cause, remaining) = (SharedCause::Request, self.remaining);
        let ruling = (self.streaks).decide(cause, StopReason::Rejected, remaining);
        (ruling, false)
    }

    /// Returns true if a failure of this file is evidence for an outage. It is not if the file failed while others
    /// succeeded.
    pub(super) fn is_witness(&self, file: JobId, failed_before: bool) -> bool {
        let (good, bad) = self.repeated;
        let is_suspect = failed_before && (good < 20 || good < 4 * bad);
        !is_suspect && !self.suspects.contains(&file)
    }

    /// Records files that failed while others succeeded.
    pub(super) fn suspect(&mut self, files: Vec<JobId>) {
        self.suspects.extend(files);
    }

    /// Records a file that succeeded. Returns true if this clears the request.
    pub(super) fn succeeded(&mut self, file: JobId, failed_before: bool) -> bool {
        self.streaks.succeeded = true;
        self.repeated.0 += u64::from(failed_before);
        self.suspects.remove(&file);
        let clears = self.rejected_for.take().is_some();
        if clears {
            *self.streaks.of_mut(SharedCause::Request) = Streak::default();
        }
        clears
    }

    /// Records a good answer at a step that is not the last, or not ready yet. Returns true if this clears the request.
    pub(super) fn went_on(&mut self, step: u16) -> bool {
        self.valid_before = self.valid_before.max(step.saturating_add(1));
        let streak = self.streaks.of_mut(SharedCause::Request);
        let clears = !streak.files.is_empty() && streak.step <= step;
        if clears {
            *streak = Streak::default();
            // Later steps are still suspected.
            self.rejected_for = self.rejected_for.map(|_| None);
        }
        clears
    }

    /// Ends the streak of missing files, because a file that was read before still exists.
    pub(super) fn confirm_disk(&mut self) {
        *self.streaks.of_mut(SharedCause::Disk) = Streak::default();
    }

    /// Returns true if so few files are left that all are called before a decision.
    pub(super) fn has_few_left(&self) -> bool {
        self.remaining <= Streaks::FEW_LEFT
    }

    /// Records the final state of a file.
    pub(super) fn finished(&mut self, file: JobId, failed_before: bool, failed: bool) {
        if failed {
            self.failed += 1;
            self.repeated.1 += u64::from(failed_before);
            self.suspects.remove(&file);
        } else {
            self.done += 1;
        }
    }

    /// Returns the number of failed files if it exceeds the limit.
    pub(super) fn too_many(&self, most: Option<MaxFailures>) -> Option<u64> {
        most.filter(|most| most.is_exceeded(self.failed, self.done))
            .map(|_| self.failed)
    }
}
