//! Tells a file's own failure from one that every file would have: a circuit breaker for one lane.
//!
//! A failure that may have a shared cause starts a streak of different files. If a call made later succeeds, the streak
//! ends, and its files were at fault. If the streak gets long, one call makes a spot check: it takes a file from elsewhere
//! in the list that has not failed. If that fails too, the service or the request is at fault. The lane then waits for the
//! end of an outage, and stops for anything else. Until then no file fails.

use std::time::Duration;

use super::run_guard::RunGuard;
use super::streak::{SharedFailure, Streaks};
use super::throttled_files::{FileThrottles, ThrottledFiles};
use super::types::{Fault, SharedCause, Spot, SpotCheck, StopReason};
use crate::job::JobId;

/// A suspected or established outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    /// Moment of the first failure.
    pub(super) since: Duration,
    /// Duration, without sleep of the machine.
    pub(super) lasted: Duration,
    pub(super) established: bool,
}

/// Attributes failures of a lane's calls to files or to causes that they share.
#[derive(Debug)]
pub(super) struct Guard {
    /// The first call goes alone.
    canary: bool,
    first_sent: Option<Duration>,
    /// A call has reached the service, so that others may follow.
    reached: bool,
    /// The streaks of [`SharedCause::Service`] and [`SharedCause::Outage`].
    pub(super) streaks: Streaks,
    /// The first call is a spot check.
    starts_with_check: bool,
    outage: Option<Outage>,
    pub(super) throttled_files: ThrottledFiles,
}

impl Guard {
    /// Longest time for which the first call goes alone.
    const ALONE: Duration = Duration::from_secs(2);

    pub(super) fn new(canary: bool, proven: bool, starts_with_check: bool) -> Self {
        Self {
            canary,
            first_sent: None,
            reached: false,
            streaks: Streaks::new(proven),
            starts_with_check,
            outage: None,
            throttled_files: ThrottledFiles::default(),
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

    /// Returns the moment until which calls go one at a time, because none has reached the service yet.
    pub(super) fn alone_until(&mut self, now: Duration) -> Option<Duration> {
        if !self.canary || self.reached {
            return None;
        }
        let until = self.first_sent? + Self::ALONE;
        self.canary = now < until;
        self.canary.then_some(until)
    }

    /// Returns the spot check that the next call has to make; `Err` while one is in flight. An outage is checked through
    /// the closed gate only.
    pub(super) fn spot_check(
        &self,
        run: &RunGuard,
        is_closed: bool,
        concurrency: usize,
    ) -> Result<Option<SpotCheck>, ()> {
        let established = self.outage.is_some_and(|outage| outage.established);
        let streaks = |cause: SharedCause| match cause.is_of_run() {
            true => &run.streaks,
            false => &self.streaks,
        };
        let cause = SharedCause::ALL.into_iter().find(|cause| {
            let may_check = *cause != SharedCause::Outage || is_closed && !established;
            may_check && streaks(*cause).needs_check(*cause, concurrency)
        });
        if cause.is_some() && (self.streaks.checking || run.streaks.checking) {
            return Err(());
        }
        let is_first = cause.is_some_and(|cause| streaks(cause).of(cause).spot_checks == 0);
        let spot = if is_first { Spot::Last } else { Spot::Random };
        let checks = cause.is_some() || self.starts_with_check;
        Ok(checks.then_some(SpotCheck { cause, spot }))
    }

    /// Records that a spot check starts or ends. The one that follows a stop by a guard is then done.
    pub(super) fn set_spot_check(&mut self, run: &mut RunGuard, check: SpotCheck, in_flight: bool) {
        match check.cause.is_some_and(SharedCause::is_of_run) {
            true => run.streaks.checking = in_flight,
            false => self.streaks.checking = in_flight,
        }
        self.starts_with_check = false;
    }

    /// Records that no file is left for a spot check on this cause. For an outage, returns whether it counts as
    /// established.
    pub(super) fn no_spot_left(&mut self, cause: SharedCause) -> Option<bool> {
        let streak = self.streaks.of_mut(cause);
        if cause == SharedCause::Outage
            && streak.files.len() >= Streaks::MANY
            && let Some(outage) = &mut self.outage
        {
            outage.established = true;
            return Some(true);
        }
        streak.ignored = true;
        (cause == SharedCause::Outage).then_some(false)
    }

    /// Records a failure that an outage may have caused; `certain` if no file can cause it. Returns whether the gate has to
    /// close, and whether this failure establishes an outage.
    pub(super) fn failed(
        &mut self,
        failure: SharedFailure,
        (witness, certain): (bool, bool),
        (concurrency, remaining): (usize, u64),
        now: Duration,
    ) -> (bool, bool) {
        let most = self.streaks.threshold(SharedCause::Outage, concurrency);
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
        // Without a connection, the step does not matter.
        let step = if certain { 0 } else { failure.step };
        let failure = SharedFailure { step, ..failure };
        let streak = self.streaks.of_mut(SharedCause::Outage);
        if witness {
            streak.add(failure);
        } else if certain && streak.files.is_empty() && streak.certain == 0 {
            streak.first_later = failure.next;
        }
        streak.certain += usize::from(certain);
        // The last few files cannot show an outage: each fails by its own retries.
        streak.ignored |= remaining < Streaks::MANY as u64 && !outage.established;
        let is_checked = match streak.step {
            0 => streak.spot_checks > 0,
            _ => streak.files.len() >= Streaks::MANY,
        };
        let sure = streak.certain >= most || is_checked && !streak.ignored;
        let established = sure && !outage.established;
        outage.established |= sure;
        let closes = certain || outage.established;
        let closes = closes || self.streaks.needs_check(SharedCause::Outage, concurrency);
        (closes, established)
    }

    /// Returns the suspected or established outage.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.outage
    }

    /// Returns true if files fail by the retry policy alone, because too few are left to show an outage.
    pub(super) fn ignores_outages(&self) -> bool {
        self.streaks.of(SharedCause::Outage).ignored
    }

    /// Records a call that reached the service at this step. Returns the causes that this clears.
    pub(super) fn reached(&mut self, run: &mut RunGuard, call: u64, step: u16) -> [bool; 4] {
        self.reached = true;
        let mut cleared = [false; 4];
        // Later steps read no file.
        cleared[SharedCause::Disk as usize] =
            step == 0 && run.streaks.clear(SharedCause::Disk, call, step);
        let streak = self.streaks.of_mut(SharedCause::Outage);
        if self.outage.is_some() && call >= streak.first_later && step >= streak.step {
            let files = std::mem::take(streak).failed;
            if !self.outage.take().is_some_and(|outage| outage.established) {
                run.suspect(files);
                cleared[SharedCause::Outage as usize] = true;
            }
        }
        cleared
    }

    /// Records a file that succeeded. Returns the causes that this clears.
    pub(super) fn succeeded(
        &mut self,
        run: &mut RunGuard,
        file: JobId,
        failed_before: bool,
        (call, step): (u64, u16),
    ) -> [bool; 4] {
        let mut cleared = self.reached(run, call, step);
        self.streaks.succeeded = true;
        self.throttled_files.succeeded(file);
        cleared[SharedCause::Service as usize] =
            self.streaks.clear(SharedCause::Service, call, step);
        cleared[SharedCause::Request as usize] = run.succeeded(file, failed_before);
        cleared
    }

    /// Records a good answer at a step that is not the last, or not ready yet. Returns the causes that this clears.
    pub(super) fn went_on(
        &mut self,
        run: &mut RunGuard,
        file: JobId,
        (call, step): (u64, u16),
    ) -> [bool; 4] {
        let mut cleared = self.reached(run, call, step);
        self.throttled_files.succeeded(file);
        cleared[SharedCause::Service as usize] =
            self.streaks.clear(SharedCause::Service, call, step);
        cleared[SharedCause::Request as usize] = run.went_on(step);
        cleared
    }

    /// Records a throttled call of this file.
    pub(super) fn throttled(
        &mut self,
        run: &RunGuard,
        file: JobId,
        now: Duration,
    ) -> FileThrottles {
        let all_count = self.ignores_outages();
        (self.throttled_files).record(file, now, all_count, run.has_few_left())
    }

    /// Returns the fault for which the lane stops if only quarantined files are left: the service refused them. If a call was
    /// accepted before, it stops only if there are `others` that can call them, and no file can be the cause.
    pub(super) fn resolve_quarantine(&self, others: bool) -> Option<StopReason> {
        let fault = self.streaks.of(SharedCause::Service).fault;
        let is_of_account = matches!(fault, Some(Fault::Auth | Fault::Quota));
        let stops = others && is_of_account || !self.streaks.succeeded;
        fault.filter(|_| stops).map(StopReason::Fault)
    }
}
