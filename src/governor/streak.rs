//! Streaks of failures with the same suspected cause. Those of a lane concern its account and its service, those of the
//! run the request and the files' disk.

use super::types::{Fault, Rules, SharedCause, StopReason};
use crate::job::JobId;

/// Consecutive failures of different files with the same suspected cause.
#[derive(Debug, Default)]
pub(super) struct Streak {
    pub(super) files: Vec<JobId>,
    /// The files that were not throttled. A throttled file is never suspect.
    pub(super) failed: Vec<JobId>,
    /// Further failures of the same files.
    repeats: usize,
    /// Failures that no file can cause.
    pub(super) certain: usize,
    /// First call that was made after the streak began.
    pub(super) first_later: u64,
    pub(super) fault: Option<Fault>,
    /// Spot checks that failed too.
    pub(super) spot_checks: u32,
    /// The last step at which a file failed. Only a good answer at this step or a later one ends the streak.
    pub(super) step: u16,
    /// The cause is no longer suspected: each file fails by the retry policy.
    pub(super) ignored: bool,
}

impl Streak {
    pub(super) fn add(&mut self, failure: SharedFailure) {
        if self.files.is_empty() {
            self.first_later = failure.next;
        }
        if self.files.contains(&failure.file) {
            self.repeats += 1;
        } else {
            self.files.push(failure.file);
            if !failure.is_throttle {
                self.failed.push(failure.file);
            }
        }
        self.spot_checks += u32::from(failure.is_spot_check);
        self.step = self.step.max(failure.step);
    }
}

/// A failure that may have a shared cause.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedFailure {
    pub(super) file: JobId,
    /// The file's step.
    pub(super) step: u16,
    /// The call was a spot check on this cause.
    pub(super) is_spot_check: bool,
    /// The call was throttled.
    pub(super) is_throttle: bool,
    /// Number of the next call.
    pub(super) next: u64,
}

/// The guard's decision about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// The failure is the file's own.
    Own,
    /// The cause is not known yet.
    Quarantine,
    /// The service or the request is at fault.
    Stop(StopReason),
}

/// The streaks of a lane or of the run, by cause.
#[derive(Debug)]
pub(super) struct Streaks {
    streaks: [Streak; 4],
    /// A spot check on one of these causes is in flight.
    pub(super) checking: bool,
    /// A file has succeeded under the present request, in this session or an earlier one.
    pub(super) succeeded: bool,
}

impl Streaks {
    /// Remaining files up to which all are called before a decision.
    pub(super) const FEW_LEFT: u64 = 50;
    /// Different files that have to fail in a row for an outage if no spot check is possible. If fewer files are left, no
    /// outage is detected.
    pub(super) const MANY: usize = 6;

    pub(super) fn new(succeeded: bool) -> Self {
        Self {
            streaks: Default::default(),
            checking: false,
            succeeded,
        }
    }

    pub(super) fn of(&self, cause: SharedCause) -> &Streak {
        &self.streaks[cause as usize]
    }

    pub(super) fn of_mut(&mut self, cause: SharedCause) -> &mut Streak {
        &mut self.streaks[cause as usize]
    }

    /// Ends all streaks.
    pub(super) fn reset(&mut self) {
        self.streaks = Default::default();
    }

    /// Returns the length of a streak that requires a spot check.
    pub(super) fn threshold(&self, cause: SharedCause, concurrency: usize) -> usize {
        match cause {
            SharedCause::Service
                if self.of(cause).fault == Some(Fault::Redirect) && !self.succeeded =>
            {
                3
            }
            SharedCause::Service => 5,
            SharedCause::Disk => 20,
            SharedCause::Request => Rules::BAD_REQUEST as usize,
            SharedCause::Outage => (concurrency / 4).clamp(3, Self::MANY),
        }
    }

    /// Returns the failed spot checks that confirm a cause.
    fn needed_checks(&self, cause: SharedCause) -> u32 {
        match cause {
            SharedCause::Outage => 1,
            SharedCause::Disk => 4,
            SharedCause::Service | SharedCause::Request if self.succeeded => 4,
            SharedCause::Service | SharedCause::Request => 2,
        }
    }

    pub(super) fn needs_check(&self, cause: SharedCause, concurrency: usize) -> bool {
        let streak = self.of(cause);
        if streak.step > 0 {
            // No file elsewhere in the list has got as far.
            return false;
        }
        let many = streak.files.len() >= self.threshold(cause, concurrency);
        // With few calls in flight, the same files fail repeatedly.
        let again = cause == SharedCause::Outage && streak.repeats >= 2;
        !streak.ignored && (many || again)
    }

    /// Decides about a failure with a cause outside the file, while `remaining` files are left.
    pub(super) fn fault(
        &mut self,
        fault: Fault,
        cause: SharedCause,
        failure: SharedFailure,
        remaining: u64,
    ) -> Ruling {
        let succeeded = self.succeeded;
        let streak = self.of_mut(cause);
        streak.add(failure);
        streak.fault = Some(fault);
        let reason = StopReason::Fault(fault);
        if !fault.is_before_connection() {
            return self.decide(cause, reason, remaining);
        }
        // No file can cause these, so a spot check is pointless. One bad certificate suffices before the first success.
        streak.certain += 1;
        let most = match fault {
            fault if fault.is_of_program() => 1,
            Fault::Tls if !succeeded => 1,
            _ => 5,
        };
        if streak.certain >= most {
            Ruling::Stop(reason)
        } else {
            Ruling::Own
        }
    }

    pub(super) fn decide(
        &mut self,
        cause: SharedCause,
        reason: StopReason,
        remaining: u64,
    ) -> Ruling {
        let (needed, succeeded) = (self.needed_checks(cause), self.succeeded);
        let threshold = self.threshold(cause, 1);
        let streak = self.of_mut(cause);
        // At a later step, further files stand for the spot checks.
        let is_sure = match streak.step {
            0 => streak.spot_checks >= needed,
            _ => streak.files.len() >= threshold + needed as usize,
        };
        if streak.ignored || !is_sure {
            return Ruling::Quarantine;
        }
        let may_be_own = matches!(
            streak.fault,
            Some(Fault::Forbidden | Fault::MissingFile | Fault::NotRun)
        );
        if succeeded && remaining <= Self::FEW_LEFT && may_be_own {
            streak.ignored = true;
            return Ruling::Quarantine;
        }
        Ruling::Stop(reason)
    }

    /// Ends the streak of a cause if the call was made after it began, at its step or a later one. Returns true if that
    /// clears the cause.
    pub(super) fn clear(&mut self, cause: SharedCause, call: u64, step: u16) -> bool {
        let streak = self.of_mut(cause);
        let has_failures = !streak.files.is_empty() || streak.certain > 0;
        let clears = has_failures && call >= streak.first_later && step >= streak.step;
        if clears {
            *streak = Streak::default();
        }
        clears
    }
}
