//! Scheduling: combines free slots, the governor's permits and the queue into claims.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use super::strided_queue::{NextJob, StridedQueue};
use crate::event::Halt;
use crate::governor::{Elsewhere, Governor, Permit, Reason, Rules, SharedCause, Verdict, Why};
use crate::job::{AttemptId, FileName, JobId, JobState, Position};
use crate::limits::{Cost, Spent};
use crate::settings::{Settings, Weight};
use crate::store::{Claim, Group, StoreError, wall_clock};

/// Decides about claims. Time is an argument.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) governor: Governor,
    /// Slots without a call, the longest waiting first.
    free_slots: VecDeque<usize>,
    /// Number of slots.
    slots: usize,
    /// Spawn slots as long as they raise throughput.
    grows: bool,
    queue: StridedQueue,
    /// A permit without a claim.
    permit: Option<Permit>,
    /// A job whose cost exceeds the permit, to call next.
    next_up: Option<(JobId, Cost)>,
    /// Failed jobs whose fault is not known yet.
    quarantined: Vec<Quarantined>,
    quarantined_ids: HashSet<JobId>,
    /// Jobs, once for each charge, whose attempts an outage may have failed.
    charged: Vec<JobId>,
    /// Charges to refund to jobs that were in flight when the outage was established.
    refunds: HashMap<JobId, u32>,
    /// A file that was readable in this run, to probe the disk.
    read: Option<PathBuf>,
    /// Message of the failure that stops the run.
    message: String,
    /// Number of jobs in the list.
    jobs: u64,
    weight: Option<Weight>,
    /// Bound for waits that are stored with jobs.
    longest_wait: Duration,
}

/// A failed job that stays pending until its fault is known.
#[derive(Debug, Clone)]
pub(super) struct Quarantined {
    pub(super) attempt: AttemptId,
    pub(super) path: FileName,
    pub(super) position: Position,
    pub(super) failed_before: bool,
    pub(super) cause: SharedCause,
    pub(super) message: String,
}

/// The next step of the writer.
#[derive(Debug)]
pub(super) enum Decision {
    /// This slot makes this call.
    Call(usize, Box<Claim>, Permit),
    /// Spawn one more slot.
    SpawnSlot,
    /// No call starts before this moment, or before a call in flight has ended.
    Wait(Option<Duration>),
    /// No job is left to claim.
    Nothing,
    /// Fail the jobs quarantined for this cause.
    FailQuarantined(SharedCause),
    /// An outage is established without a further call: refund what it charged.
    Excuse,
    /// The governor stops the run.
    Stop,
}

impl Schedule {
    /// Creates a schedule for a list of `jobs` jobs, without slots.
    pub(super) fn new(settings: &Settings, governor: Governor, jobs: u64) -> Self {
        let mut schedule = Self {
            governor,
            free_slots: VecDeque::new(),
            slots: 0,
            grows: false,
            queue: StridedQueue::new(1, jobs),
            permit: None,
            next_up: None,
            quarantined: Vec::new(),
            quarantined_ids: HashSet::new(),
            charged: Vec::new(),
            refunds: HashMap::new(),
            read: None,
            message: String::new(),
            jobs,
            weight: None,
            longest_wait: Duration::ZERO,
        };
        schedule.arrange(settings, jobs);
        schedule
    }

    /// Applies changed settings.
    pub(super) fn change(
        &mut self,
        settings: &Settings,
        rules: Rules,
        spent: &[Spent],
        now: Duration,
        jobs: u64,
    ) {
        self.give_permit_back();
        self.governor.change(rules, spent, now);
        self.arrange(settings, jobs);
        let most = settings.threads.most();
        self.free_slots.retain(|slot| *slot < most);
    }

    fn arrange(&mut self, settings: &Settings, jobs: u64) {
        let most = settings.threads.most();
        self.grows = settings.threads == crate::settings::Threads::Auto;
        self.weight = settings.weight;
        self.longest_wait = settings.retry_max_delay;
        self.jobs = jobs;
        if self.queue.threads() != most {
            // Another number of slots needs another queue, filled from the start of the list.
            self.queue = StridedQueue::new(most, jobs);
            self.next_up = None;
        }
    }

    /// Adds a free slot.
    pub(super) fn slot_added(&mut self, slot: usize) {
        self.slots += 1;
        self.ask(slot);
    }

    /// Stops spawning, because the system has no more threads.
    pub(super) fn stop_growing(&mut self) {
        self.grows = false;
    }

    /// Adjusts the number of slots after a resize.
    pub(super) fn resized(&mut self, more: usize, fewer: usize) {
        self.slots = (self.slots + more).saturating_sub(fewer);
    }

    /// Marks a slot as free.
    pub(super) fn ask(&mut self, slot: usize) {
        if self.grows {
            // The latest caller has the warmest connection.
            self.free_slots.push_front(slot);
        } else {
            self.free_slots.push_back(slot);
        }
    }

    /// Queues a job to call again from `due` on.
    pub(super) fn put_back(&mut self, job: JobId, position: Position, due: Duration) {
        self.queue.put_back(job, position, due);
    }

    /// Queues a job that may kill its process.
    pub(super) fn put_alone(&mut self, job: JobId, crashes: u32, due: Duration) {
        self.queue.put_alone(job, crashes, due);
    }

    /// Returns when the first and the last waiting jobs are due; the first only if no other jobs are left.
    pub(super) fn due(&self) -> (Option<Duration>, Duration) {
        let only = self.governor.why() == Why::Work;
        let next = only.then(|| self.queue.next_due()).flatten();
        (next, self.queue.last_due())
    }

    /// Queues a job to call after all others.
    pub(super) fn put_last(&mut self, job: JobId, due: Duration) {
        self.queue.put_last(job, due);
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
        let message = match reason {
            Reason::Failures(_) | Reason::Budget(_) => String::new(),
            _ => self.message.clone(),
        };
        Some(Halt {
            reason,
            words: message,
        })
    }

    /// Remembers a readable file: its disk is there.
    pub(super) fn note_read(&mut self, file: PathBuf) {
        self.read = Some(file);
    }

    /// Remembers a charged job that an outage may have failed.
    pub(super) fn note_charged(&mut self, job: JobId) {
        self.charged.push(job);
    }

    /// Refunds a charge to each of these jobs; to one in flight, when its call has ended.
    pub(super) fn refund(
        &mut self,
        group: &mut Group<'_>,
        excused: Vec<JobId>,
    ) -> Result<(), StoreError> {
        for job in excused {
            if !group.give_back_charge(job)? {
                *self.refunds.entry(job).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Returns how many charges to refund to a job whose call has ended.
    pub(super) fn take_refunds(&mut self, job: JobId) -> u32 {
        self.refunds.remove(&job).unwrap_or_default()
    }

    /// Ends the quarantine for an outage, so that its jobs are called again. Returns the jobs to refund, once for each
    /// charge.
    pub(super) fn excuse(&mut self, now: Duration) -> Vec<JobId> {
        for held in self.release(|cause| cause == SharedCause::Outage) {
            self.put_back(held.attempt.job, held.position, now);
        }
        std::mem::take(&mut self.charged)
    }

    /// Keeps a job from being called until its fault is known.
    pub(super) fn quarantine(&mut self, held: Quarantined) {
        self.quarantined_ids.insert(held.attempt.job);
        self.quarantined.push(held);
    }

    /// Takes the jobs quarantined for a cleared cause: they are at fault themselves.
    pub(super) fn release_at_fault(
        &mut self,
        cleared: impl Fn(SharedCause) -> bool,
    ) -> Vec<Quarantined> {
        if cleared(SharedCause::Outage) {
            self.charged.clear();
        }
        self.release(cleared)
    }

    fn release(&mut self, such: impl Fn(SharedCause) -> bool) -> Vec<Quarantined> {
        let (released, held) = std::mem::take(&mut self.quarantined)
            .into_iter()
            .partition(|held| such(held.cause));
        self.quarantined = held;
        for held in &released as &Vec<Quarantined> {
            self.quarantined_ids.remove(&held.attempt.job);
        }
        released
    }

    pub(super) fn quarantined_count(&self) -> u64 {
        self.quarantined.len() as u64
    }

    /// Decides when only quarantined jobs are left, and returns those that fail now. Returns none if the run stops
    /// because no call was ever accepted.
    pub(super) fn resolve_quarantine(&mut self) -> Vec<Quarantined> {
        let Some(last) = self.quarantined.last() else {
            return Vec::new();
        };
        let message = last.message.clone();
        if self.governor.settle() {
            self.release_at_fault(|_| true)
        } else {
            self.note_message(&message);
            self.release_at_fault(|cause| cause != SharedCause::Service)
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
        match state {
            JobState::Done => self.governor.finished(job, failed_before, false),
            JobState::Failed => self.governor.finished(job, failed_before, true),
            JobState::Pending | JobState::Running | JobState::Held => {}
        }
    }

    /// Returns why no call may start at `now`, whichever the job; `None` where one may, and has its permit.
    pub(super) fn held_up(&mut self, now: Duration) -> Option<Decision> {
        if self.free_slots.is_empty() {
            self.give_permit_back();
            if self.can_grow() {
                return Some(Decision::SpawnSlot);
            }
            self.governor.all_busy(self.slots, now);
            return Some(Decision::Wait(None));
        }
        if self.permit.is_some() {
            return None;
        }
        let cost = self.next_up.map_or_else(Cost::default, |(_, cost)| cost);
        match self.governor.ask(cost, now, wall_clock()) {
            Verdict::Halt(_) => Some(Decision::Stop),
            Verdict::Wait(_, until) => Some(Decision::Wait(until)),
            Verdict::Go(permit) => {
                self.permit = Some(permit);
                None
            }
        }
    }

    /// Returns an unused permit to the governor.
    pub(super) fn give_permit_back(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.governor.cancel(permit);
        }
    }

    fn can_grow(&self) -> bool {
        self.grows && self.slots < self.governor.width()
    }

    /// Returns the next step at `now`. A claim becomes part of `group`.
    pub(super) fn next(
        &mut self,
        group: &mut Group<'_>,
        in_flight: usize,
        now: Duration,
    ) -> Result<Decision, StoreError> {
        loop {
            if let Some(wait) = self.held_up(now) {
                return Ok(wait);
            }
            let (Some(&slot), Some(mut permit)) = (self.free_slots.front(), self.permit.take())
            else {
                return Ok(Decision::Wait(None));
            };
            if let Some(place) = permit.place() {
                if Governor::doubts_disk(&permit)
                    && self.read.as_ref().is_some_and(|file| file.exists())
                {
                    self.governor.cancel(permit);
                    self.governor.disk_is_there();
                    return Ok(Decision::FailQuarantined(SharedCause::Disk));
                }
                let found = self.elsewhere(group, place)?;
                let cost = found.map_or(Ok(permit.cost()), |job| self.cost(group, job))?;
                if self.governor.weighs() && permit.cost() != cost {
                    // The permit did not include the file's size.
                    self.governor.cancel(permit);
                    match self.governor.ask(cost, now, wall_clock()) {
                        Verdict::Go(sized) => permit = sized,
                        Verdict::Halt(_) => return Ok(Decision::Stop),
                        Verdict::Wait(_, until) => return Ok(Decision::Wait(until)),
                    }
                    if permit.place().is_none() {
                        self.permit = Some(permit);
                        continue;
                    }
                }
                let claim = match found {
                    Some(job) => group.claim(job, slot, cost)?,
                    None => None,
                };
                if let Some(claim) = claim {
                    self.free_slots.pop_front();
                    return Ok(Decision::Call(slot, Box::new(claim), permit));
                }
                match self.governor.nowhere_to_look(permit) {
                    Some(true) => return Ok(Decision::Excuse),
                    Some(false) => return Ok(Decision::FailQuarantined(SharedCause::Outage)),
                    None => continue,
                }
            }
            let (job, cost) = match self.next_up.take() {
                Some(next) => next,
                None => match self.next_job(group, slot, now)? {
                    NextJob::Job(job) => (job, self.cost(group, job)?),
                    NextJob::Alone(job) if in_flight == 0 => {
                        self.queue.take_alone();
                        (job, self.cost(group, job)?)
                    }
                    NextJob::Alone(_) => {
                        self.governor.cancel(permit);
                        self.governor.no_work();
                        return Ok(Decision::Wait(None));
                    }
                    NextJob::Wait(due) => {
                        self.governor.cancel(permit);
                        self.governor.no_work();
                        return Ok(Decision::Wait(Some(due)));
                    }
                    NextJob::Empty | NextJob::NeedPage(_) => {
                        self.governor.cancel(permit);
                        self.governor.no_work();
                        return Ok(Decision::Nothing);
                    }
                },
            };
            let permit = if self.governor.weighs() && permit.cost() != cost {
                self.governor.cancel(permit);
                match self.governor.ask(cost, now, wall_clock()) {
                    Verdict::Go(permit) => permit,
                    Verdict::Halt(_) => return Ok(Decision::Stop),
                    Verdict::Wait(_, until) => {
                        self.next_up = Some((job, cost));
                        return Ok(Decision::Wait(until));
                    }
                }
            } else {
                permit
            };
            // Another call has taken a job that is no longer pending.
            match group.claim(job, slot, cost)? {
                Some(claim) => {
                    self.free_slots.pop_front();
                    return Ok(Decision::Call(slot, Box::new(claim), permit));
                }
                None => self.permit = Some(permit),
            }
        }
    }

    /// Returns the next job for a slot that is not quarantined, reading pages as needed.
    fn next_job(
        &mut self,
        group: &Group<'_>,
        slot: usize,
        now: Duration,
    ) -> Result<NextJob, StoreError> {
        loop {
            match self.queue.next(slot, now) {
                NextJob::Job(job) if self.quarantined_ids.contains(&job) => {}
                NextJob::Alone(job) if self.quarantined_ids.contains(&job) => {
                    self.queue.take_alone();
                }
                NextJob::NeedPage(from) => {
                    let limit = self.queue.page_size();
                    let page = group.offer(from, limit, self.longest_wait)?;
                    self.queue.add_page(from, &page, page.len() == limit, now);
                }
                next => return Ok(next),
            }
        }
    }

    /// Finds a job elsewhere in the list that has not failed.
    fn elsewhere(&self, group: &Group<'_>, place: Elsewhere) -> Result<Option<JobId>, StoreError> {
        let from = match place {
            Elsewhere::Last => None,
            Elsewhere::Random => Some(Position(fastrand::u64(..self.jobs.max(1)))),
        };
        let is_other =
            |job: &JobId| !self.quarantined_ids.contains(job) && !self.charged.contains(job);
        let mut found = group.elsewhere(from)?.into_iter().find(is_other);
        if found.is_none() && from.is_some() {
            found = group
                .elsewhere(Some(Position(0)))?
                .into_iter()
                .find(is_other);
        }
        Ok(found)
    }

    /// Returns what a call takes from the rates. If stat fails, charges one call and zero bytes; the call itself will
    /// report the error.
    ///
    /// Only runs with a rate in bytes or weights look at files here, in the writer's transaction. A file system that hangs
    /// keeps such a run from recording until it answers. Its calls hang as well, since each reads its file first.
    fn cost(&self, group: &Group<'_>, job: JobId) -> Result<Cost, StoreError> {
        if !self.governor.weighs() {
            return Ok(Cost::default());
        }
        let size = std::fs::metadata(group.file(job)?).map_or(0, |meta| meta.len());
        Ok(Cost {
            calls: 1,
            bytes: size,
            weight: self.weight.map_or(0, |weight| weight.of(size)),
        })
    }
}
