//! Tells a file's own failure from one that every file would have.
//!
//! A failure that may not be the file's own begins a streak of different files. A call that was made after the streak
//! began and succeeds ends it: the files were at fault. When the streak is long enough, one call goes elsewhere in the
//! list, to a file that has not failed. If that fails too, the service or the request is at fault: the run waits for the
//! end of an outage, and stops for anything else. Until then no file fails.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::types::{Elsewhere, Look, Reason, Refusal, Rules, SharedCause};
use crate::job::JobId;
use crate::limits::MaxFailures;

/// Failures of different files in a row.
#[derive(Debug, Default)]
struct Streak {
    files: Vec<JobId>,
    /// Those of them that failed otherwise than by a refusal, which may be a limit.
    failed: Vec<JobId>,
    /// Failures of files that were in the streak already.
    repeats: usize,
    /// Failures that no file can cause.
    certain: usize,
    /// The first call that can end it well.
    mark: u64,
    refusal: Option<Refusal>,
    /// Looks elsewhere that failed too.
    looks: u32,
    /// No judgement is made any more: the files are on their own.
    left_alone: bool,
}

impl Streak {
    fn add(&mut self, failure: Failure) {
        if self.files.is_empty() {
            self.mark = failure.next;
        }
        if self.files.contains(&failure.file) {
            self.repeats += 1;
        } else {
            self.files.push(failure.file);
            if !failure.is_refusal {
                self.failed.push(failure.file);
            }
        }
        self.looks += u32::from(failure.is_look);
    }
}

/// A failure as the guard sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) file: JobId,
    /// The call looked elsewhere for the sake of this kind of failure.
    pub(super) is_look: bool,
    /// The service refused the call, perhaps for a limit.
    pub(super) is_refusal: bool,
    /// The number of the next call.
    pub(super) next: u64,
}

/// A judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// The failure is the file's own.
    Own,
    /// That is not known yet.
    Quarantine,
    /// The service or the request is at fault.
    Stop(Reason),
}

/// An outage, or what may become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) since: Duration,
    /// Its duration without the time in which this machine slept.
    pub(super) lasted: Duration,
    /// It is known to be one.
    pub(super) established: bool,
}

/// Refusals of one file between which others were accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusals {
    pub(super) count: u32,
    since: Duration,
    successes: u64,
}

impl Refusals {
    /// So many are the file's own: they are no evidence for a limit.
    pub(super) const OWN: u32 = 3;
    /// After so many in so long a time the file fails.
    const MOST: u32 = 10;
    const LONGEST: Duration = Duration::from_secs(600);

    pub(super) fn are_own(&self) -> bool {
        self.count >= Self::OWN
    }

    pub(super) fn are_enough(&self, now: Duration) -> bool {
        self.count >= Self::MOST && now.saturating_sub(self.since) >= Self::LONGEST
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Guard {
    /// The first call goes alone.
    canary: bool,
    first_sent: Option<Duration>,
    /// A call was answered so that others may follow.
    proven: bool,
    succeeded: bool,
    /// The cause for which every file was rejected so far; `None` where it is not watched for.
    slip: Option<Option<u64>>,
    streaks: [Streak; 4],
    look_out: bool,
    /// A look before anything has failed.
    first_look: bool,
    outage: Option<Outage>,
    /// Files that failed while others succeeded.
    suspected: HashSet<JobId>,
    refused: HashMap<JobId, Refusals>,
    successes: u64,
    /// Successes and failures of files that had failed for good before.
    repeated: (u64, u64),
    /// Files left to call.
    left: u64,
    failed: u64,
    done: u64,
}

impl Guard {
    /// The first call goes alone for no longer.
    const ALONE: Duration = Duration::from_secs(2);
    /// Calls that may be made before the first success, once one was rejected.
    const CAUTION: usize = 40;
    /// Where so few files are left, all of them are called before a judgement.
    const FEW_LEFT: u64 = 50;
    /// So many different files that fail in a row are an outage even where no other is left to look at.
    const MANY: usize = 6;

    pub(super) fn new(canary: bool, watches_slip: bool, succeeded: bool, first_look: bool) -> Self {
        Self {
            canary,
            first_sent: None,
            proven: false,
            succeeded,
            slip: (watches_slip && !succeeded).then_some(None),
            streaks: Default::default(),
            look_out: false,
            first_look,
            outage: None,
            suspected: HashSet::new(),
            refused: HashMap::new(),
            successes: 0,
            repeated: (0, 0),
            left: u64::MAX,
            failed: 0,
            done: 0,
        }
    }

    /// Takes note of time in which the machine was awake.
    pub(super) fn pass(&mut self, time: Duration) {
        if let Some(outage) = &mut self.outage {
            outage.lasted += time;
        }
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.first_sent.get_or_insert(now);
    }

    pub(super) fn set_left(&mut self, left: u64) {
        self.left = left;
    }

    /// Returns true where too few files are left to show an outage.
    pub(super) fn has_few_left(&self) -> bool {
        self.left < Self::MANY as u64
    }

    /// A success under the present request, in this runner or an earlier one.
    pub(super) fn has_succeeded(&self) -> bool {
        self.succeeded
    }

    pub(super) fn watches_slips(&self) -> bool {
        self.slip.is_some()
    }

    pub(super) fn stop_watching_slips(&mut self) {
        self.slip = None;
    }

    /// Returns the moment until which calls go one at a time, because it is not known yet whether any is accepted.
    pub(super) fn alone_until(&mut self, now: Duration) -> Option<Duration> {
        if !self.canary || self.proven {
            return None;
        }
        let until = self.first_sent? + Self::ALONE;
        self.canary = now < until;
        self.canary.then_some(until)
    }

    /// Returns true where no further call may be made until one of those in flight has shown whether the request is right.
    pub(super) fn is_cautious(&self, in_flight: usize) -> bool {
        let rejected = self.streaks[SharedCause::Request as usize].files.len();
        self.slip.is_some() && rejected > 0 && rejected + in_flight >= Self::CAUTION
    }

    /// Failures of different files in a row from which on one call looks elsewhere.
    fn threshold(&self, cause: SharedCause, width: usize) -> usize {
        let streak = &self.streaks[cause as usize];
        match cause {
            SharedCause::Service
                if streak.refusal == Some(Refusal::Redirect) && !self.succeeded =>
            {
                3
            }
            SharedCause::Service => 5,
            SharedCause::Disk => 20,
            SharedCause::Request => Rules::SLIP as usize,
            SharedCause::Outage => (width / 4).clamp(3, Self::MANY),
        }
    }

    fn looks(&self, cause: SharedCause) -> u32 {
        match cause {
            SharedCause::Outage => 1,
            SharedCause::Disk => 4,
            SharedCause::Service | SharedCause::Request => {
                if self.succeeded {
                    4
                } else {
                    2
                }
            }
        }
    }

    fn wants(&self, cause: SharedCause, width: usize) -> bool {
        let streak = &self.streaks[cause as usize];
        let many = streak.files.len() >= self.threshold(cause, width);
        // Where few calls are in flight, the same files fail again and again.
        let again = cause == SharedCause::Outage && streak.repeats >= 2;
        !streak.left_alone && (many || again)
    }

    /// The look elsewhere that has to be made now; `Err` while it is out. An outage is looked at through the closed
    /// gate only.
    pub(super) fn look(&self, is_closed: bool, width: usize) -> Result<Option<Look>, ()> {
        let established = self.outage.is_some_and(|outage| outage.established);
        let wanted = SharedCause::ALL.into_iter().find(|cause| match cause {
            SharedCause::Outage => is_closed && !established && self.wants(*cause, width),
            cause => self.wants(*cause, width),
        });
        match wanted {
            Some(_) if self.look_out => Err(()),
            Some(cause) => Ok(Some(Look {
                cause: Some(cause),
                place: if self.streaks[cause as usize].looks == 0 {
                    Elsewhere::Last
                } else {
                    Elsewhere::Random
                },
            })),
            None if self.first_look => Ok(Some(Look {
                cause: None,
                place: Elsewhere::Random,
            })),
            None => Ok(None),
        }
    }

    /// Takes note that a look is made, and that it has ended.
    pub(super) fn set_look_out(&mut self, out: bool) {
        self.look_out = out;
        self.first_look = false;
    }

    /// There is no other file to look at. Returns whether an outage is established all the same, where it was for one.
    pub(super) fn nowhere(&mut self, cause: SharedCause) -> Option<bool> {
        let streak = &mut self.streaks[cause as usize];
        if cause == SharedCause::Outage
            && streak.files.len() >= Self::MANY
            && let Some(outage) = &mut self.outage
        {
            outage.established = true;
            return Some(true);
        }
        streak.left_alone = true;
        (cause == SharedCause::Outage).then_some(false)
    }

    /// A call was refused for a reason that is not the file's own.
    pub(super) fn refused(&mut self, refusal: Refusal, failure: Failure) -> Ruling {
        let cause = match refusal {
            Refusal::MissingFile => SharedCause::Disk,
            _ => SharedCause::Service,
        };
        let succeeded = self.succeeded;
        let streak = &mut self.streaks[cause as usize];
        streak.add(failure);
        streak.refusal = Some(refusal);
        let reason = Reason::Refused(refusal);
        // No file can cause these, so that there is nothing to look at; and a certificate gets no better by itself.
        if matches!(refusal, Refusal::Tls | Refusal::Name | Refusal::Proxy) {
            streak.certain += 1;
            let most = if refusal == Refusal::Tls && !succeeded {
                1
            } else {
                5
            };
            return if streak.certain >= most {
                Ruling::Stop(reason)
            } else {
                Ruling::Own
            };
        }
        self.judged(cause, reason)
    }

    /// A file was rejected.
    pub(super) fn rejected(&mut self, cause: u64, failure: Failure) -> (Ruling, bool) {
        let Some(watched) = &mut self.slip else {
            return (Ruling::Own, false);
        };
        if *watched.get_or_insert(cause) != cause {
            // Different causes are no slip.
            self.slip = None;
            self.streaks[SharedCause::Request as usize] = Streak::default();
            return (Ruling::Own, true);
        }
        let streak = &mut self.streaks[SharedCause::Request as usize];
        streak.add(failure);
        (self.judged(SharedCause::Request, Reason::Rejected), false)
    }

    fn judged(&mut self, cause: SharedCause, reason: Reason) -> Ruling {
        let (looks, succeeded, few) = (
            self.looks(cause),
            self.succeeded,
            self.left <= Self::FEW_LEFT,
        );
        let streak = &mut self.streaks[cause as usize];
        if streak.left_alone || streak.looks < looks {
            return Ruling::Quarantine;
        }
        let may_be_own = matches!(
            streak.refusal,
            Some(Refusal::Forbidden | Refusal::MissingFile)
        );
        if succeeded && few && may_be_own {
            streak.left_alone = true;
            return Ruling::Quarantine;
        }
        Ruling::Stop(reason)
    }

    /// Returns true where a failure of this file is evidence for an outage: unless it failed while others succeeded.
    pub(super) fn is_witness(&self, file: JobId, failed_before: bool) -> bool {
        let (good, bad) = self.repeated;
        let is_blamed = failed_before && (good < 20 || good < 4 * bad);
        !is_blamed && !self.suspected.contains(&file)
    }

    /// A call failed as in an outage; `certain` where no file can cause it. Returns true where the gate has to close, and
    /// true where an outage has been established by it.
    pub(super) fn failed(
        &mut self,
        failure: Failure,
        witness: bool,
        certain: bool,
        width: usize,
        now: Duration,
    ) -> (bool, bool) {
        let (most, few) = (
            self.threshold(SharedCause::Outage, width),
            self.has_few_left(),
        );
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
            streak.mark = failure.next;
        }
        streak.certain += usize::from(certain);
        // The last few files of a list cannot show an outage: each fails within its own retries.
        streak.left_alone |= few && !outage.established;
        let sure = streak.certain >= most || streak.looks > 0 && !streak.left_alone;
        let established = sure && !outage.established;
        outage.established |= sure;
        let closes = certain || outage.established;
        (
            closes || self.wants(SharedCause::Outage, width),
            established,
        )
    }

    /// The outage, or the failures that may be one.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.outage
    }

    /// Returns true where files fail by the retry policy alone, because none is left that could show an outage.
    pub(super) fn is_on_its_own(&self) -> bool {
        self.streaks[SharedCause::Outage as usize].left_alone
    }

    /// A call reached the service or its file. Returns the causes that this clears.
    pub(super) fn reached(&mut self, call: u64) -> [bool; 4] {
        self.proven = true;
        let mut cleared = [false; 4];
        cleared[SharedCause::Disk as usize] = self.clear(SharedCause::Disk, call);
        let outage = &self.streaks[SharedCause::Outage as usize];
        if self.outage.is_some() && call >= outage.mark {
            let files = std::mem::take(&mut self.streaks[SharedCause::Outage as usize]).failed;
            if !self.outage.take().is_some_and(|outage| outage.established) {
                // Others succeed, so these files are to blame.
                self.suspected.extend(files);
                cleared[SharedCause::Outage as usize] = true;
            }
        }
        cleared
    }

    /// A file succeeded. Returns the causes that this clears.
    pub(super) fn succeeded(&mut self, file: JobId, failed_before: bool, call: u64) -> [bool; 4] {
        let mut cleared = self.reached(call);
        self.succeeded = true;
        self.successes += 1;
        self.repeated.0 += u64::from(failed_before);
        self.suspected.remove(&file);
        self.refused.remove(&file);
        cleared[SharedCause::Service as usize] = self.clear(SharedCause::Service, call);
        if self.slip.take().is_some() {
            self.streaks[SharedCause::Request as usize] = Streak::default();
            cleared[SharedCause::Request as usize] = true;
        }
        cleared
    }

    /// Files that were read before are still there, so the disk is.
    pub(super) fn disk_is_there(&mut self) {
        self.streaks[SharedCause::Disk as usize] = Streak::default();
    }

    fn clear(&mut self, cause: SharedCause, call: u64) -> bool {
        let streak = &mut self.streaks[cause as usize];
        let clears = (!streak.files.is_empty() || streak.certain > 0) && call >= streak.mark;
        if clears {
            *streak = Streak::default();
        }
        clears
    }

    /// The service refused a call of this file for its limits. Returns the refusals that are the file's own.
    pub(super) fn throttled(&mut self, file: JobId, now: Duration) -> Refusals {
        let successes = self.successes;
        let (alone, few) = (self.is_on_its_own(), self.left <= Self::FEW_LEFT);
        let refusals = self.refused.entry(file).or_insert(Refusals {
            count: 0,
            since: now,
            successes: u64::MAX,
        });
        // The first one counts, and each before which others were accepted; later on all, for it is called last. Where
        // few files are left, one time is enough: soon there is no other that could be accepted.
        let others = refusals.successes != successes;
        if others || refusals.are_own() || alone || few && refusals.count > 1 {
            refusals.count += 1;
        }
        refusals.successes = successes;
        *refusals
    }

    /// Returns true where many files were refused and have not been accepted since.
    pub(super) fn refuses_many(&self) -> bool {
        self.refused.len() >= Self::MANY
    }

    /// The file with the most refusals of its own, and how many they are.
    pub(super) fn most_refused(&self) -> Option<(JobId, u32)> {
        let refused = self.refused.iter();
        let own = refused.filter(|(_, refusals)| refusals.are_own());
        own.map(|(file, refusals)| (*file, refusals.count))
            .max_by_key(|(file, count)| (*count, file.0))
    }

    /// Only files that were held back are left. Returns the reason to stop, where no call at all was accepted.
    pub(super) fn settle(&mut self) -> Option<Reason> {
        let refusal = self.streaks[SharedCause::Service as usize].refusal;
        let reason = refusal.filter(|_| !self.succeeded).map(Reason::Refused);
        if reason.is_none() {
            self.streaks = Default::default();
        }
        reason
    }

    /// Counts a file that is finished.
    pub(super) fn finished(&mut self, file: JobId, failed_before: bool, failed: bool) {
        if failed {
            self.failed += 1;
            self.repeated.1 += u64::from(failed_before);
            self.suspected.remove(&file);
            self.refused.remove(&file);
        } else {
            self.done += 1;
        }
    }

    /// The number of failed files, if that is more than allowed.
    pub(super) fn too_many(&self, most: Option<MaxFailures>) -> Option<u64> {
        most.filter(|most| most.is_passed(self.failed, self.done))
            .map(|_| self.failed)
    }
}
