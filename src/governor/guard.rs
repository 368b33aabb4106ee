//! Tells a file's own failure from one that every file would have: a circuit breaker.
//!
//! A failure that may have a shared cause starts a streak of different files. If a call made later succeeds, the streak
//! ends, and its files were at fault. If the streak gets long, one call makes a spot check: it takes a file from elsewhere
//! in the list that has not failed. If that fails too, the service or the request is at fault. The run then waits for the
//! end of an outage, and stops for anything else. Until then no file fails.

use std::collections::HashSet;
use std::time::Duration;

use super::throttled_files::{FileThrottles, ThrottledFiles};
use super::types::{Fault, History, Rules, SharedCause, Spot, SpotCheck, StopReason};
use crate::job::JobId;
use crate::limits::MaxFailures;

/// Consecutive failures of different files with the same suspected cause.
#[derive(Debug, Default)]
struct Streak {
    files: Vec<JobId>,
    /// The files that were not throttled. A throttled file is never suspect.
    failed: Vec<JobId>,
    /// Further failures of the same files.
    repeats: usize,
    /// Failures that no file can cause.
    certain: usize,
    /// First call that was made after the streak began.
    first_later: u64,
    fault: Option<Fault>,
    /// Spot checks that failed too.
    spot_checks: u32,
    /// The cause is no longer suspected: each file fails by the retry policy.
    ignored: bool,
}

impl Streak {
    fn add(&mut self, failure: SharedFailure) {
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
    }
}

/// A failure that may have a shared cause.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedFailure {
    pub(super) file: JobId,
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

/// A suspected or established outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    /// Moment of the first failure.
    pub(super) since: Duration,
    /// Duration, without sleep of the machine.
    pub(super) lasted: Duration,
    pub(super) established: bool,
}

/// Attributes failures to files or to shared causes.
#[derive(Debug)]
pub(super) struct Guard {
    /// The first call goes alone.
    canary: bool,
    first_sent: Option<Duration>,
    /// A call has reached the service, so that others may follow.
    reached: bool,
    succeeded: bool,
    /// Cause of all rejections so far. The outer `None`: a bad request is no longer suspected.
    rejected_for: Option<Option<u64>>,
    streaks: [Streak; 4],
    /// A spot check is in flight.
    checking: bool,
    /// The first call is a spot check.
    starts_with_check: bool,
    outage: Option<Outage>,
    /// Files that failed while others succeeded.
    suspects: HashSet<JobId>,
    pub(super) throttled_files: ThrottledFiles,
    /// Successes and failures of files that had failed for good before.
    repeated: (u64, u64),
    /// Files left to call.
    pub(super) remaining: u64,
    failed: u64,
    done: u64,
}

impl Guard {
    /// Longest time for which the first call goes alone.
    const ALONE: Duration = Duration::from_secs(2);
    /// Calls before the first success, once one was rejected.
    const CAUTION: usize = 40;
    /// Remaining files up to which all are called before a decision.
    const FEW_LEFT: u64 = 50;
    /// Different files that have to fail in a row for an outage if no spot check is possible. If fewer files are left, no
    /// outage is detected.
    const MANY: usize = 6;

    pub(super) fn new(rules: &Rules, history: &History) -> Self {
        Self {
            canary: rules.canary,
            first_sent: None,
            reached: false,
            succeeded: history.proven,
            rejected_for: (rules.stops_bad_requests && !history.proven).then_some(None),
            streaks: Default::default(),
            checking: false,
            starts_with_check: history.stopped_by_guard,
            outage: None,
            suspects: HashSet::new(),
            throttled_files: ThrottledFiles::default(),
            repeated: (0, 0),
            remaining: u64::MAX,
            failed: 0,
            done: 0,
        }
    }

    /// Adds time in which the machine was awake.
    pub(super) fn add_awake(&mut self, time: Duration) {
        if let Some(outage) = &mut self.outage {
            outage.lasted += time;
        }
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.first_sent.get_or_insert(now);
    }

    /// Returns true if a file has succeeded under the present request, in this session or an earlier one.
    pub(super) fn has_succeeded(&self) -> bool {
        self.succeeded
    }

    /// Stops the check for requests that are invalid for all files.
    pub(super) fn allow_bad_requests(&mut self) {
        self.rejected_for = None;
    }

    /// Returns the moment until which calls go one at a time, because none has reached the service yet.
    pub(super) fn alone_until(&mut self, now: Duration) -> Option<Duration> {
        if !self.canary || self.reached {
            return None;
        }
        let until = self.first_sent? + Self::ALONE;
        self.canary = now < until;
        self.canary.then_some(until)
    }

    /// Returns true if the calls in flight have to show first whether the request is valid.
    pub(super) fn is_cautious(&self, in_flight: usize) -> bool {
        let rejected = self.streaks[SharedCause::Request as usize].files.len();
        self.rejected_for.is_some() && rejected > 0 && rejected + in_flight >= Self::CAUTION
    }

    /// Returns the length of a streak that requires a spot check.
    fn threshold(&self, cause: SharedCause, concurrency: usize) -> usize {
        let streak = &self.streaks[cause as usize];
        match cause {
            SharedCause::Service if streak.fault == Some(Fault::Redirect) && !self.succeeded => 3,
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

    fn needs_check(&self, cause: SharedCause, concurrency: usize) -> bool {
        let streak = &self.streaks[cause as usize];
        let many = streak.files.len() >= self.threshold(cause, concurrency);
        // With few calls in flight, the same files fail repeatedly.
        let again = cause == SharedCause::Outage && streak.repeats >= 2;
        !streak.ignored && (many || again)
    }

    /// Returns the spot check that the next call has to make; `Err` while one is in flight. An outage is checked through
    /// the closed gate only.
    pub(super) fn spot_check(
        &self,
        is_closed: bool,
        concurrency: usize,
    ) -> Result<Option<SpotCheck>, ()> {
        let established = self.outage.is_some_and(|outage| outage.established);
        let cause = SharedCause::ALL.into_iter().find(|cause| {
            let may_check = *cause != SharedCause::Outage || is_closed && !established;
            may_check && self.needs_check(*cause, concurrency)
        });
        if cause.is_some() && self.checking {
            return Err(());
        }
        let is_first = cause.is_some_and(|cause| self.streaks[cause as usize].spot_checks == 0);
        let spot = if is_first { Spot::Last } else { Spot::Random };
        let checks = cause.is_some() || self.starts_with_check;
        Ok(checks.then_some(SpotCheck { cause, spot }))
    }

    /// Records that a spot check starts or ends. The one that follows a stop by a guard is then done.
    pub(super) fn set_spot_check(&mut self, in_flight: bool) {
        self.checking = in_flight;
        self.starts_with_check = false;
    }

    /// Records that no file is left for a spot check. For an outage, returns whether it counts as established.
    pub(super) fn no_spot_left(&mut self, cause: SharedCause) -> Option<bool> {
        let streak = &mut self.streaks[cause as usize];
        if cause == SharedCause::Outage
            && streak.files.len() >= Self::MANY
            && let Some(outage) = &mut self.outage
        {
            outage.established = true;
            return Some(true);
        }
        streak.ignored = true;
        (cause == SharedCause::Outage).then_some(false)
    }

    /// Decides about a failure with a cause outside the file.
    pub(super) fn fault(
        &mut self,
        fault: Fault,
        cause: SharedCause,
        failure: SharedFailure,
    ) -> Ruling {
        let streak = &mut self.streaks[cause as usize];
        streak.add(failure);
        streak.fault = Some(fault);
        let reason = StopReason::Fault(fault);
        if !fault.is_before_connection() {
            return self.decide(cause, reason);
        }
        // No file can cause these, so a spot check is pointless. One bad certificate suffices before the first success.
        streak.certain += 1;
        let most = match fault {
            Fault::NotStarted | Fault::Hung => 1,
            Fault::Tls if !self.succeeded => 1,
            _ => 5,
        };
        if streak.certain >= most {
            Ruling::Stop(reason)
        } else {
            Ruling::Own
        }
    }

    /// Decides about a rejected file. Returns true if this clears the request, because the causes differ.
    pub(super) fn rejected(&mut self, cause: u64, failure: SharedFailure) -> (Ruling, bool) {
        let Some(watched) = &mut self.rejected_for else {
            return (Ruling::Own, false);
        };
        let streak = &mut self.streaks[SharedCause::Request as usize];
        if *watched.get_or_insert(cause) != cause {
            self.rejected_for = None;
            *streak = Streak::default();
            return (Ruling::Own, true);
        }
        streak.add(failure);
        let ruling = self.decide(SharedCause::Request, StopReason::Rejected);
        (ruling, false)
    }

    fn decide(&mut self, cause: SharedCause, reason: StopReason) -> Ruling {
        let needed = self.needed_checks(cause);
        let few_left = self.remaining <= Self::FEW_LEFT;
        let streak = &mut self.streaks[cause as usize];
        if streak.ignored || streak.spot_checks < needed {
            return Ruling::Quarantine;
        }
        let may_be_own = matches!(
            streak.fault,
            Some(Fault::Forbidden | Fault::MissingFile | Fault::NotRun)
        );
        if self.succeeded && few_left && may_be_own {
            streak.ignored = true;
            return Ruling::Quarantine;
        }
        Ruling::Stop(reason)
    }

    /// Returns true if a failure of this file is evidence for an outage. It is not if the file failed while others
    /// succeeded.
    pub(super) fn is_witness(&self, file: JobId, failed_before: bool) -> bool {
        let (good, bad) = self.repeated;
        let is_suspect = failed_before && (good < 20 || good < 4 * bad);
        !is_suspect && !self.suspects.contains(&file)
    }

    /// Records a failure that an outage may have caused; `certain` if no file can cause it. Returns whether the gate has to
    /// close, and whether this failure establishes an outage.
    pub(super) fn failed(
        &mut self,
        failure: SharedFailure,
        witness: bool,
        certain: bool,
        concurrency: usize,
        now: Duration,
    ) -> (bool, bool) {
        let most = self.threshold(SharedCause::Outage, concurrency);
        if witness || certain {
            self.outage.get_or_insert(Outage {
                since: now,
                lasted: Duration::ZERO,
                established: false,
            });
        }
        let Some(outage) = &mut self.outage else {
            return (false, false);
        };
        let streak = &mut self.streaks[SharedCause::Outage as usize];
        if witness {
            streak.add(failure);
        } else if certain && streak.files.is_empty() && streak.certain == 0 {
            streak.first_later = failure.next;
        }
        streak.certain += usize::from(certain);
        // The last few files cannot show an outage: each fails by its own retries.
        streak.ignored |= self.remaining < Self::MANY as u64 && !outage.established;
        let sure = streak.certain >= most || streak.spot_checks > 0 && !streak.ignored;
        let established = sure && !outage.established;
        outage.established |= sure;
        let closes = certain || outage.established;
        let closes = closes || self.needs_check(SharedCause::Outage, concurrency);
        (closes, established)
    }

    /// Returns the suspected or established outage.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.outage
    }

    /// Returns true if files fail by the retry policy alone, because too few are left to show an outage.
    pub(super) fn ignores_outages(&self) -> bool {
        self.streaks[SharedCause::Outage as usize].ignored
    }

    /// Records a call that reached the service. Returns the causes that this clears.
    pub(super) fn reached(&mut self, call: u64) -> [bool; 4] {
        self.reached = true;
        let mut cleared = [false; 4];
        cleared[SharedCause::Disk as usize] = self.clear(SharedCause::Disk, call);
        let streak = &mut self.streaks[SharedCause::Outage as usize];
        if self.outage.is_some() && call >= streak.first_later {
            let files = std::mem::take(streak).failed;
            if !self.outage.take().is_some_and(|outage| outage.established) {
                self.suspects.extend(files);
                cleared[SharedCause::Outage as usize] = true;
            }
        }
        cleared
    }

    /// Records a file that succeeded. Returns the causes that this clears.
    pub(super) fn succeeded(&mut self, file: JobId, failed_before: bool, call: u64) -> [bool; 4] {
        let mut cleared = self.reached(call);
        self.succeeded = true;
        self.repeated.0 += u64::from(failed_before);
        self.suspects.remove(&file);
        self.throttled_files.succeeded(file);
        cleared[SharedCause::Service as usize] = self.clear(SharedCause::Service, call);
        if self.rejected_for.take().is_some() {
            self.streaks[SharedCause::Request as usize] = Streak::default();
            cleared[SharedCause::Request as usize] = true;
        }
        cleared
    }

    /// Ends the streak of missing files, because a file that was read before still exists.
    pub(super) fn confirm_disk(&mut self) {
        self.streaks[SharedCause::Disk as usize] = Streak::default();
    }

    fn clear(&mut self, cause: SharedCause, call: u64) -> bool {
        let streak = &mut self.streaks[cause as usize];
        let has_failures = !streak.files.is_empty() || streak.certain > 0;
        let clears = has_failures && call >= streak.first_later;
        if clears {
            *streak = Streak::default();
        }
        clears
    }

    /// Records a throttled call of this file.
    pub(super) fn throttled(&mut self, file: JobId, now: Duration) -> FileThrottles {
        let few_left = self.remaining <= Self::FEW_LEFT;
        let all_count = self.ignores_outages();
        (self.throttled_files).record(file, now, all_count, few_left)
    }

    /// Decides when only quarantined files are left. Returns the reason to stop if the service refused them and no call was
    /// ever accepted.
    pub(super) fn resolve_quarantine(&mut self) -> Option<StopReason> {
        let fault = self.streaks[SharedCause::Service as usize].fault;
        let reason = fault.filter(|_| !self.succeeded).map(StopReason::Fault);
        if reason.is_none() {
            self.streaks = Default::default();
        }
        reason
    }

    /// Records the final state of a file.
    pub(super) fn finished(&mut self, file: JobId, failed_before: bool, failed: bool) {
        if failed {
            self.failed += 1;
            self.repeated.1 += u64::from(failed_before);
            self.suspects.remove(&file);
            self.throttled_files.remove(file);
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
