//! Scheduling: combines free slots, the governor's permits and the queue into claims.

mod bound;
mod choose;

pub(super) use bound::StoppedLane;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::due_jobs::DueJobs;
use super::quarantine::{Quarantine, Quarantined};
use super::strided_queue::StridedQueue;
use crate::event::Halt;
use crate::governor::{
    Admission, Governor, LimitedBy, Permit, Rules, SharedCause, Spot, StopReason,
};
use crate::job::{JobId, JobState, Lane, StepKind};
use crate::limits::{Cost, PastCharge};
use crate::settings::{Settings, Threads, Weight};
use crate::store::{Claim, Group, StoreError, wall_clock};

/// Decides about claims.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) governor: Governor,
    pub(super) queue: StridedQueue,
    pub(super) quarantine: Quarantine,
    /// Due jobs of each lane.
    pub(super) due_jobs: Vec<DueJobs>,
    /// The lanes of the run's pool; none without one.
    lanes: Vec<Lane>,
    /// For each lane, the message of the failure that has stopped it.
    stop_messages: Vec<String>,
    /// The waiting jobs that may kill their process are in the queue.
    has_waiting_alone: bool,
    /// As many jobs as may be are submitted and unfinished, as of the last choice.
    full: Option<u64>,
    /// A later step was answered well, in this session or an earlier one.
    pub(super) is_proven: bool,
    /// Jobs have further steps, as far as is known.
    pub(super) has_steps: bool,
    /// New jobs were left at the last choice.
    pub(super) has_new: bool,
    /// Slots without a call, in the order of their next use.
    free_slots: VecDeque<usize>,
    /// Number of slots.
    slots: usize,
    /// Spawn slots as long as they raise throughput.
    grows: bool,
    /// A permit without a claim.
    permit: Option<Permit>,
    /// The job to call next, once the rates allow its cost.
    next_up: Option<(JobId, Cost)>,
    /// A file that was readable in this run, to check that its disk is there.
    readable: Option<PathBuf>,
    /// Message of the failure that stops the run.
    message: String,
    /// Number of jobs in the list.
    jobs: u64,
    weight: Option<Weight>,
    /// Bound for waits that are stored with pending jobs, and with waiting ones.
    longest_wait: Duration,
    longest_poll: Duration,
    /// The moment at which reads of what was submitted may go on, as of the last request.
    reads_from: Option<Duration>,
    /// Most jobs that are submitted and unfinished.
    max_submitted: Option<u64>,
}

/// The next step of the writer.
#[derive(Debug)]
pub(super) enum Decision {
    /// Send the claim to the slot.
    Call(usize, Box<Claim>, Permit),
    /// Spawn one more slot.
    SpawnSlot,
    /// No call starts before this moment, or before a call in flight has completed.
    Wait(Option<Duration>),
    /// No job is left to claim.
    Nothing,
    /// Fail the jobs quarantined for this cause in a lane.
    FailQuarantined(SharedCause, usize),
    /// An outage of a lane is established without a further call: refund its charges.
    Excuse(usize),
    /// The governor stops the run.
    Stop,
}

impl Schedule {
    /// Creates a schedule for a list of `jobs` jobs, without slots.
    pub(super) fn new(
        settings: &Settings,
        governor: Governor,
        lanes: Vec<Lane>,
        jobs: u64,
    ) -> Self {
        let mut schedule = Self {
            due_jobs: all_due(governor.lanes()),
            stop_messages: vec![String::new(); governor.lanes()],
            lanes,
            governor,
            queue: StridedQueue::new(1, jobs),
            quarantine: Quarantine::default(),
            has_waiting_alone: false,
            full: None,
            is_proven: false,
            has_steps: false,
            has_new: true,
            free_slots: VecDeque::new(),
            slots: 0,
            grows: false,
            permit: None,
            next_up: None,
            readable: None,
            message: String::new(),
            jobs,
            weight: None,
            longest_wait: Duration::ZERO,
            longest_poll: Duration::ZERO,
            reads_from: None,
            max_submitted: None,
        };
        schedule.apply(settings, jobs);
        schedule
    }

    /// Applies changed settings.
    pub(super) fn change(
        &mut self,
        settings: &Settings,
        rules: Rules,
        spent: &[Vec<PastCharge>],
        now: Duration,
        jobs: u64,
    ) {
        self.give_permit_back();
        self.governor.reconfigure(rules, spent, now);
        self.apply(settings, jobs);
        // Waits may have become shorter.
        self.due_jobs.iter_mut().for_each(|due| due.note(now));
        let most = settings.threads.most();
        self.free_slots.retain(|slot| *slot < most);
    }

    fn apply(&mut self, settings: &Settings, jobs: u64) {
        let most = settings.threads.most();
        self.grows = settings.threads == Threads::Auto;
        self.weight = settings.weight.clone();
        self.longest_wait = settings.retry_max_delay;
        self.longest_poll = settings.retry_max_delay.max(settings.poll_for);
        self.max_submitted = settings.max_submitted;
        self.jobs = jobs;
        if self.queue.slots() != most {
            // Another number of slots needs another queue.
            self.renew_queue(most);
        }
    }

    /// Fills the queue anew from the start of a list of `jobs` jobs.
    pub(super) fn reload(&mut self, jobs: u64) {
        self.jobs = jobs;
        self.renew_queue(self.queue.slots());
    }

    fn renew_queue(&mut self, slots: usize) {
        self.queue = StridedQueue::new(slots, self.jobs);
        self.next_up = None;
        self.due_jobs = all_due(self.governor.lanes());
        self.has_waiting_alone = false;
        self.has_new = true;
    }

    /// Adds a free slot.
    pub(super) fn slot_added(&mut self, slot: usize) {
        self.slots += 1;
        self.slot_freed(slot);
    }

    /// Stops spawning, because a slot could not be set up.
    pub(super) fn stop_growing(&mut self) {
        self.grows = false;
    }

    /// Adjusts the number of slots after a resize.
    pub(super) fn resized(&mut self, more: usize, fewer: usize) {
        self.slots = (self.slots + more).saturating_sub(fewer);
    }

    /// Marks a slot as free.
    pub(super) fn slot_freed(&mut self, slot: usize) {
        if self.grows {
            // The slot freed last has the warmest connection.
            self.free_slots.push_front(slot);
        } else {
            self.free_slots.push_back(slot);
        }
    }

    /// Returns when the first and the last waiting jobs are due; the first only if no other jobs are left.
    pub(super) fn due(&self) -> (Option<Duration>, Duration) {
        let only = self.governor.limited_by() == LimitedBy::NoWork;
        let waits = self.queue.next_due().into_iter().chain(self.next_due());
        let next = waits.min().filter(|_| only);
        (next, self.queue.last_due())
    }

    /// Remembers the message if this failure stops the run.
    pub(super) fn note_message(&mut self, message: &str) {
        if self.governor.halt().is_some() && self.message.is_empty() {
            message.clone_into(&mut self.message);
        }
    }

    /// Returns why the governor stops the run, if it does.
    pub(super) fn halt(&self) -> Option<Halt> {
        let reason = self.governor.halt()?;
        let words = match reason {
            StopReason::Failures(_) | StopReason::Budget(_) => String::new(),
            _ => self.message.clone(),
        };
        let words = match self.lane_stops() {
            Some(stops) if !reason.is_of_run() => stops,
            _ => words,
        };
        Some(Halt { reason, words })
    }

    /// Remembers a readable file: its disk is there.
    pub(super) fn note_readable(&mut self, file: PathBuf) {
        self.readable = Some(file);
    }

    /// Ends the quarantine for an outage of a lane, so that its jobs are called again. Returns the jobs to refund, once for each
    /// charge.
    pub(super) fn excuse(&mut self, lane: usize, now: Duration) -> Vec<JobId> {
        let (excused, charged) = self.quarantine.excuse(lane);
        self.put_back(excused, now);
        charged
    }

    fn put_back(&mut self, released: Vec<Quarantined>, now: Duration) {
        for held in released {
            match held.is_waiting {
                true => self.due_jobs[held.lane].note(now),
                false => (self.queue).put_back(held.attempt.job, held.position, now),
            }
        }
    }

    /// Decides when only quarantined jobs are left, and returns those that fail now. If the run stops because no call was
    /// ever accepted, the jobs with the cause [`SharedCause::Service`] stay pending.
    pub(super) fn resolve_quarantine(&mut self) -> Vec<Quarantined> {
        let Some(message) = self.quarantine.last_message() else {
            return Vec::new();
        };
        if self.governor.resolve_quarantine() {
            self.quarantine.release_all(|_| true)
        } else if self.governor.halt().is_none() {
            // Other lanes call what some have refused.
            Vec::new()
        } else {
            self.note_message(&message);
            (self.quarantine).release_all(|cause| cause != SharedCause::Service)
        }
    }

    /// Fails the jobs at fault, and adds those to `failed` that were still pending.
    pub(super) fn fail_quarantined(
        &mut self,
        group: &mut Group<'_>,
        at_fault: Vec<Quarantined>,
        failed: &mut Vec<Quarantined>,
    ) -> Result<(), StoreError> {
        for held in at_fault {
            if group.give_up(held.attempt)? {
                self.finished(held.attempt.job, held.failed_before, JobState::Failed);
                failed.push(held);
            }
        }
        Ok(())
    }

    /// Passes a job's final state to the governor.
    pub(super) fn finished(&mut self, job: JobId, failed_before: bool, state: JobState) {
        if let JobState::Done | JobState::Failed = state {
            let failed = state == JobState::Failed;
            self.governor.job_finished(job, failed_before, failed);
        }
    }

    /// Returns why no call may start at `now`, for any job. `None` if one may; then a permit is available.
    pub(super) fn held_up(&mut self, now: Duration) -> Option<Decision> {
        if self.free_slots.is_empty() {
            self.give_permit_back();
            if self.can_grow() {
                return Some(Decision::SpawnSlot);
            }
            self.governor.all_busy(self.slots, now);
            return Some(Decision::Wait(None));
        }
        if self.permit.is_none() {
            match self.request_any(now) {
                Ok(permit) => self.permit = Some(permit),
                Err(decision) => return Some(decision),
            }
        }
        None
    }

    /// Requests a permit: for a read of what was submitted, if one may be due, and otherwise for any other call. With a pool,
    /// reads are bound to lanes.
    fn request_any(&mut self, now: Duration) -> Result<Permit, Decision> {
        self.reads_from = None;
        if !self.has_pool() {
            self.reads_from = self.due_jobs[0].next_page();
            if self.due_jobs[0].has(true, now) {
                match (self.governor).request_read(Cost::default(), now, wall_clock()) {
                    Admission::Go(permit) => return Ok(permit),
                    Admission::Wait(_, until) => self.reads_from = until,
                    Admission::Halt(_) => return Err(Decision::Stop),
                }
            }
        }
        let cost = self.next_up.map_or_else(Cost::default, |(_, cost)| cost);
        self.request_in(None, false, cost, now)
    }

    /// Requests a permit, in this lane if one is named.
    fn request_in(
        &mut self,
        lane: Option<usize>,
        reads: bool,
        cost: Cost,
        now: Duration,
    ) -> Result<Permit, Decision> {
        match (self.governor).request_in(lane, reads, cost, now, wall_clock()) {
            Admission::Go(permit) => Ok(permit),
            Admission::Wait(_, until) => Err(Decision::Wait(earliest(until, self.reads_from))),
            // An exhausted budget stops the run only when nothing is left to read.
            Admission::Halt(_) if self.governor.halt().is_none() => {
                Err(Decision::Wait(self.reads_from))
            }
            Admission::Halt(_) => Err(Decision::Stop),
        }
    }

    /// Exchanges a permit for one of the same lane that includes the job's size.
    fn exchange(&mut self, permit: Permit, cost: Cost, now: Duration) -> Result<Permit, Decision> {
        if !self.governor.needs_size() || permit.cost() == cost {
            return Ok(permit);
        }
        let (lane, reads) = (permit.lane(), permit.reads());
        self.governor.cancel(permit);
        self.request_in(Some(lane), reads, cost, now)
    }

    /// Returns an unused permit to the governor.
    pub(super) fn give_permit_back(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.governor.cancel(permit);
        }
    }

    fn can_grow(&self) -> bool {
        self.grows && self.slots < self.governor.concurrency()
    }

    /// Returns the next step at `now`. A claim becomes part of `group`.
    pub(super) fn next(
        &mut self,
        group: &mut Group<'_>,
        in_flight: usize,
        now: Duration,
    ) -> Result<Decision, StoreError> {
        let bound = self.call_bound(group, now)?;
        let until = match bound {
            Ok(decision) => return Ok(decision),
            Err(until) => until,
        };
        loop {
            if let Some(wait) = self.held_up(now) {
                return Ok(wait.or_at(until));
            }
            let (Some(&slot), Some(permit)) = (self.free_slots.front(), self.permit.take()) else {
                return Ok(Decision::Wait(None));
            };
            let decision = match permit.spot() {
                Some(spot) => self.spot_check(group, slot, permit, spot, now)?,
                None => self.in_order(group, slot, permit, in_flight, now)?,
            };
            if let Some(decision) = decision {
                return Ok(decision.or_at(until));
            }
        }
    }

    /// Makes a spot check for a file elsewhere in the list. Returns `None` to try again.
    fn spot_check(
        &mut self,
        group: &mut Group<'_>,
        slot: usize,
        permit: Permit,
        spot: Spot,
        now: Duration,
    ) -> Result<Option<Decision>, StoreError> {
        if permit.checks_disk() && self.readable.as_ref().is_some_and(|file| file.exists()) {
            let lane = permit.lane();
            self.governor.cancel(permit);
            self.governor.confirm_disk();
            return Ok(Some(Decision::FailQuarantined(SharedCause::Disk, lane)));
        }
        let lane = permit.lane();
        let found = self.elsewhere(group, lane, permit.reads(), spot)?;
        let cost = found.map_or(permit.cost(), |(_, cost)| cost);
        let permit = match self.exchange(permit, cost, now) {
            Ok(permit) => permit,
            Err(decision) => return Ok(Some(decision)),
        };
        if permit.spot().is_none() {
            self.permit = Some(permit);
            return Ok(None);
        }
        let claim = match found {
            Some((job, _)) => group.claim_in(lane, job, slot, cost, permit.price())?,
            None => None,
        };
        if let Some(claim) = claim {
            return Ok(Some(self.call(slot, claim, permit)));
        }
        let established = self.governor.no_spot_left(permit);
        Ok(established.map(|established| match established {
            true => Decision::Excuse(lane),
            false => Decision::FailQuarantined(SharedCause::Outage, lane),
        }))
    }

    /// Claims the next job in order. Returns `None` to try again.
    fn in_order(
        &mut self,
        group: &mut Group<'_>,
        slot: usize,
        permit: Permit,
        in_flight: usize,
        now: Duration,
    ) -> Result<Option<Decision>, StoreError> {
        let (job, cost) = if permit.reads() {
            let (quarantine, longest) = (&self.quarantine, self.longest_poll);
            match self.due_jobs[0].take((0, true), group, quarantine, longest, now)? {
                Some(job) => (job, Cost::default()),
                None => {
                    self.governor.cancel(permit);
                    return Ok(None);
                }
            }
        } else if let Some(next) = self.next_up.take() {
            next
        } else {
            match self.choose(group, slot, in_flight, now)? {
                Ok(job) => job,
                Err(decision) => {
                    self.governor.cancel(permit);
                    match self.full.take() {
                        Some(files) => self.governor.all_submitted(files),
                        None => self.governor.no_work(),
                    }
                    return Ok(Some(decision));
                }
            }
        };
        let permit = match self.exchange(permit, cost, now) {
            Ok(permit) => permit,
            Err(decision) => {
                self.next_up = Some((job, cost));
                return Ok(Some(decision));
            }
        };
        // A job that is no longer pending was claimed by a spot check.
        let claim = group.claim_in(permit.lane(), job, slot, cost, permit.price())?;
        let Some(claim) = claim else {
            self.permit = Some(permit);
            return Ok(None);
        };
        Ok(Some(self.call(slot, claim, permit)))
    }

    /// Gives a claim to the first free slot.
    fn call(&mut self, slot: usize, claim: Claim, mut permit: Permit) -> Decision {
        self.has_steps |= claim.attempt.step.is_later();
        if claim.attempt.step.kind != StepKind::Write {
            self.governor.exempt(&mut permit);
        }
        self.free_slots.pop_front();
        Decision::Call(slot, Box::new(claim), permit)
    }
}

/// Returns the earlier of two moments, of which each may be unknown.
fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Returns the due jobs of each lane, not read yet.
fn all_due(lanes: usize) -> Vec<DueJobs> {
    (0..lanes).map(|_| DueJobs::default()).collect()
}
