//! Who may call now, and for which job: the threads that ask, the governor and the dealer together.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use super::dealer::{Deal, Dealer};
use crate::event::Halt;
use crate::governor::{Elsewhere, Governor, Kind, Permit, Reason, Rules, Suspect, Verdict, Why};
use crate::job::{AttemptId, FileName, JobId, JobState, Position};
use crate::limits::{Cost, Spent};
use crate::settings::{Settings, Weight};
use crate::store::{Claim, Group, StoreError, wall_clock};

/// Decides about claims. Time is an argument.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) governor: Governor,
    /// Threads that ask for a job, the longest waiting first.
    asking: VecDeque<usize>,
    /// How many threads there are.
    threads: usize,
    /// Whether more of them are made as they are of use.
    grows: bool,
    dealer: Dealer,
    /// A permit for which no job was claimed yet.
    permit: Option<Permit>,
    /// A job that was dealt and for which there was no room yet.
    next_up: Option<(JobId, Cost)>,
    /// Jobs that failed for what may not be their fault, until that is known.
    held_back: Vec<HeldBack>,
    held_ids: HashSet<JobId>,
    /// Attempts that were charged to their jobs and may be those of an outage.
    charged: Vec<AttemptId>,
    /// A file that was read in this run.
    read: Option<PathBuf>,
    /// The words of the failure that stops the run.
    words: String,
    /// Jobs in the list.
    jobs: u64,
    weight: Option<Weight>,
    /// The longest wait that a stored moment may ask for.
    longest_wait: Duration,
}

/// A job that failed, and is pending until it is known whether it is to blame.
#[derive(Debug, Clone)]
pub(super) struct HeldBack {
    pub(super) attempt: AttemptId,
    pub(super) path: FileName,
    pub(super) position: Position,
    pub(super) failed_before: bool,
    pub(super) suspect: Suspect,
    pub(super) words: String,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Decision {
    /// This thread makes this call.
    Call(usize, Box<Claim>, Permit),
    /// One more thread would be of use.
    Hire,
    /// No call starts before this moment, or before a call in flight has ended.
    Wait(Option<Duration>),
    /// No job is left to be claimed.
    Nothing,
    /// The jobs that were held back for this suspect fail.
    Blame(Suspect),
    /// An outage is established without a further call: what was charged for it is given back.
    Excuse,
    /// The governor stops the run.
    Stop,
}

impl Schedule {
    /// A schedule on a list of so many jobs, for threads that are yet to come.
    pub(super) fn new(settings: &Settings, governor: Governor, jobs: u64) -> Self {
        let mut schedule = Self {
            governor,
            asking: VecDeque::new(),
            threads: 0,
            grows: false,
            dealer: Dealer::new(1, jobs),
            permit: None,
            next_up: None,
            held_back: Vec::new(),
            held_ids: HashSet::new(),
            charged: Vec::new(),
            read: None,
            words: String::new(),
            jobs,
            weight: None,
            longest_wait: Duration::ZERO,
        };
        schedule.arrange(settings, jobs);
        schedule
    }

    /// Goes on under other settings.
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
        self.asking.retain(|thread| *thread < most);
    }

    fn arrange(&mut self, settings: &Settings, jobs: u64) {
        let most = settings.threads.most();
        self.grows = settings.threads == crate::settings::Threads::Auto;
        self.weight = settings.weight;
        self.longest_wait = settings.retry_max_delay;
        self.jobs = jobs;
        if self.dealer.threads() != most {
            // Another number of chunks is another deal; what is pending is dealt anew, from the beginning.
            self.dealer = Dealer::new(most, jobs);
            self.next_up = None;
        }
    }

    /// A thread has been made, and asks for its first job.
    pub(super) fn hired(&mut self, thread: usize) {
        self.threads += 1;
        self.ask(thread);
    }

    /// The system has no more threads to give.
    pub(super) fn grow_no_more(&mut self) {
        self.grows = false;
    }

    /// So many threads stay after all, and so many are let go.
    pub(super) fn recount(&mut self, more: usize, fewer: usize) {
        self.threads = (self.threads + more).saturating_sub(fewer);
    }

    /// Takes note that a thread is free.
    pub(super) fn ask(&mut self, thread: usize) {
        if self.grows {
            // The one that called last has a connection that is still warm.
            self.asking.push_front(thread);
        } else {
            self.asking.push_back(thread);
        }
    }

    /// Takes note that a job is to be called again.
    pub(super) fn put_back(&mut self, job: JobId, position: Position, due: Duration) {
        self.dealer.put_back(job, position, due);
    }

    /// Takes note that a job that may kill its process is to be called again.
    pub(super) fn put_alone(&mut self, job: JobId, crashes: u32, due: Duration) {
        self.dealer.put_alone(job, crashes, due);
    }

    /// The moments from which the first and the last of the jobs that wait may be called; the first one only where
    /// nothing but such jobs is left.
    pub(super) fn due(&self) -> (Option<Duration>, Duration) {
        let only = self.governor.why() == Why::Work;
        let next = only.then(|| self.dealer.next_due()).flatten();
        (next, self.dealer.last_due())
    }

    /// Takes note that a job is to be called again after all others.
    pub(super) fn put_last(&mut self, job: JobId, due: Duration) {
        self.dealer.put_last(job, due);
    }

    /// Takes note of the words of the failure that stops the run, where it does.
    pub(super) fn note_words(&mut self, words: &str) {
        if self.governor.halt().is_some() && self.words.is_empty() {
            words.clone_into(&mut self.words);
        }
    }

    /// The stop that the governor asks for.
    pub(super) fn halt(&self) -> Option<Halt> {
        let reason = self.governor.halt()?;
        let words = match reason {
            Reason::Failures(_) | Reason::Budget(_) => String::new(),
            _ => self.words.clone(),
        };
        Some(Halt { reason, words })
    }

    /// Takes note of a file that could be read: its disk is there.
    pub(super) fn note_read(&mut self, file: PathBuf) {
        self.read = Some(file);
    }

    /// Takes note of an attempt that was charged to its job and may be an outage's.
    pub(super) fn note_charged(&mut self, attempt: AttemptId) {
        self.charged.push(attempt);
    }

    /// The attempts that were charged in an outage, and the jobs that were held back for it. They are called again.
    pub(super) fn excuse(&mut self, now: Duration) -> Vec<AttemptId> {
        for held in self.release(|suspect| suspect == Suspect::Outage) {
            self.put_back(held.attempt.job, held.position, now);
        }
        std::mem::take(&mut self.charged)
    }

    /// Keeps a job from being called until it is known whether it is to blame.
    pub(super) fn hold_back(&mut self, held: HeldBack) {
        self.held_ids.insert(held.attempt.job);
        self.held_back.push(held);
    }

    /// The jobs that were held back for a suspect that has been cleared: they are to blame themselves.
    pub(super) fn blame(&mut self, cleared: impl Fn(Suspect) -> bool) -> Vec<HeldBack> {
        if cleared(Suspect::Outage) {
            self.charged.clear();
        }
        self.release(cleared)
    }

    fn release(&mut self, such: impl Fn(Suspect) -> bool) -> Vec<HeldBack> {
        let (released, held) = std::mem::take(&mut self.held_back)
            .into_iter()
            .partition(|held| such(held.suspect));
        self.held_back = held;
        for held in &released as &Vec<HeldBack> {
            self.held_ids.remove(&held.attempt.job);
        }
        released
    }

    /// The number of jobs that are held back.
    pub(super) fn suspects(&self) -> u64 {
        self.held_back.len() as u64
    }

    /// Only held-back jobs are left: returns those that fail now. There are none where the run stops instead, because no
    /// call was accepted at all.
    pub(super) fn settle(&mut self) -> Vec<HeldBack> {
        let Some(last) = self.held_back.last() else {
            return Vec::new();
        };
        let words = last.words.clone();
        if self.governor.settle() {
            self.blame(|_| true)
        } else {
            self.note_words(&words);
            self.blame(|suspect| suspect != Suspect::Service)
        }
    }

    /// Lets jobs fail that are to blame themselves, and adds those to `given_up` that were still pending.
    pub(super) fn give_up(
        &mut self,
        group: &mut Group<'_>,
        blamed: Vec<HeldBack>,
        given_up: &mut Vec<HeldBack>,
    ) -> Result<(), StoreError> {
        for held in blamed {
            if group.give_up(held.attempt)? {
                self.finished(held.attempt.job, held.failed_before, JobState::Failed);
                given_up.push(held);
            }
        }
        Ok(())
    }

    /// Takes note of a job's new state.
    pub(super) fn finished(&mut self, job: JobId, failed_before: bool, state: JobState) {
        match state {
            JobState::Done => self.governor.finished(job, failed_before, false),
            JobState::Failed => self.governor.finished(job, failed_before, true),
            JobState::Pending | JobState::Running | JobState::Held => {}
        }
    }

    /// Returns why no call may start at `now`, whichever the job; `None` where one may, and has its permit.
    pub(super) fn held_up(&mut self, now: Duration) -> Option<Decision> {
        if self.asking.is_empty() {
            self.give_permit_back();
            if self.can_grow() {
                return Some(Decision::Hire);
            }
            self.governor.all_busy(self.threads, now);
            return Some(Decision::Wait(None));
        }
        if self.permit.is_some() {
            return None;
        }
        let cost = self.next_up.map_or_else(Cost::default, |(_, cost)| cost);
        match self.governor.ask(cost, Kind::New, now, wall_clock()) {
            Verdict::Halt(_) => Some(Decision::Stop),
            Verdict::Wait(_, until) => Some(Decision::Wait(until)),
            Verdict::Go(permit) => {
                self.permit = Some(permit);
                None
            }
        }
    }

    /// Gives a permit back for which there is no call.
    pub(super) fn give_permit_back(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.governor.cancel(permit);
        }
    }

    fn can_grow(&self) -> bool {
        self.grows && self.threads < self.governor.width()
    }

    /// The next call to make at `now`, while so many are in flight; its claim is part of `group`.
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
            let (Some(&thread), Some(mut permit)) = (self.asking.front(), self.permit.take())
            else {
                return Ok(Decision::Wait(None));
            };
            if let Some(place) = permit.place() {
                if Governor::doubts_disk(&permit)
                    && self.read.as_ref().is_some_and(|file| file.exists())
                {
                    self.governor.cancel(permit);
                    self.governor.disk_is_there();
                    return Ok(Decision::Blame(Suspect::Disk));
                }
                let found = self.elsewhere(group, place)?;
                let cost = found.map_or(Ok(permit.cost()), |job| self.cost(group, job))?;
                if self.governor.weighs() && permit.cost() != cost {
                    // The permit was for a file of no size.
                    self.governor.cancel(permit);
                    match self.governor.ask(cost, Kind::New, now, wall_clock()) {
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
                    Some(job) => group.claim(job, thread, cost)?,
                    None => None,
                };
                if let Some(claim) = claim {
                    self.asking.pop_front();
                    return Ok(Decision::Call(thread, Box::new(claim), permit));
                }
                match self.governor.nowhere_to_look(permit) {
                    Some(true) => return Ok(Decision::Excuse),
                    Some(false) => return Ok(Decision::Blame(Suspect::Outage)),
                    None => continue,
                }
            }
            let (job, cost) = match self.next_up.take() {
                Some(next) => next,
                None => match self.deal(group, thread, now)? {
                    Deal::Job(job) => (job, self.cost(group, job)?),
                    Deal::Alone(job) if in_flight == 0 => {
                        self.dealer.take_alone();
                        (job, self.cost(group, job)?)
                    }
                    Deal::Alone(_) => {
                        self.governor.cancel(permit);
                        self.governor.no_work();
                        return Ok(Decision::Wait(None));
                    }
                    Deal::Wait(due) => {
                        self.governor.cancel(permit);
                        self.governor.no_work();
                        return Ok(Decision::Wait(Some(due)));
                    }
                    Deal::Nothing | Deal::Look(_) => {
                        self.governor.cancel(permit);
                        self.governor.no_work();
                        return Ok(Decision::Nothing);
                    }
                },
            };
            let permit = if self.governor.weighs() && permit.cost() != cost {
                self.governor.cancel(permit);
                match self.governor.ask(cost, Kind::New, now, wall_clock()) {
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
            // A job that is no longer pending has been taken care of by another call.
            match group.claim(job, thread, cost)? {
                Some(claim) => {
                    self.asking.pop_front();
                    return Ok(Decision::Call(thread, Box::new(claim), permit));
                }
                None => self.permit = Some(permit),
            }
        }
    }

    /// The next job for a thread, in list order as far as that is possible.
    fn deal(
        &mut self,
        group: &Group<'_>,
        thread: usize,
        now: Duration,
    ) -> Result<Deal, StoreError> {
        loop {
            match self.dealer.deal(thread, now) {
                Deal::Job(job) if self.held_ids.contains(&job) => {}
                Deal::Alone(job) if self.held_ids.contains(&job) => self.dealer.take_alone(),
                Deal::Look(from) => {
                    let limit = self.dealer.page();
                    let page = group.offer(from, limit, self.longest_wait)?;
                    self.dealer.offer(from, &page, page.len() == limit, now);
                }
                deal => return Ok(deal),
            }
        }
    }

    /// A job elsewhere in the list that has not failed, if there is one.
    fn elsewhere(&self, group: &Group<'_>, place: Elsewhere) -> Result<Option<JobId>, StoreError> {
        let from = match place {
            Elsewhere::Last => None,
            Elsewhere::Random => Some(Position(fastrand::u64(..self.jobs.max(1)))),
        };
        let is_other = |job: &JobId| {
            !self.held_ids.contains(job) && self.charged.iter().all(|attempt| attempt.job != *job)
        };
        let mut found = group.elsewhere(from)?.into_iter().find(is_other);
        if found.is_none() && from.is_some() {
            found = group
                .elsewhere(Some(Position(0)))?
                .into_iter()
                .find(is_other);
        }
        Ok(found)
    }

    /// What a call takes of the rates. A file that cannot be looked at takes one call of nothing: its call will
    /// say why.
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
