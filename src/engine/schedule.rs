//! Who may call now, and for which job: the threads that ask, the governor and the dealer together.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::dealer::{Deal, Dealer};
use crate::governor::{Cost, Governor, Lesson, Limit, News, Pass, Rules, Suspect, Verdict};
use crate::job::{AttemptId, FileName, JobId, JobState, Position};
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
    /// A job that was dealt and for which there was no room yet.
    next_up: Option<(JobId, Cost)>,
    /// Jobs that were refused for what may not be their fault, until that is known.
    held_back: Vec<HeldBack>,
    held_ids: HashSet<JobId>,
    weight: Option<Weight>,
    /// The longest wait that a stored moment may ask for.
    longest_wait: Duration,
}

/// A job that was refused, and is pending until it is known whether it is to blame.
#[derive(Debug, Clone)]
pub(super) struct HeldBack {
    pub(super) attempt: AttemptId,
    pub(super) path: FileName,
    suspect: Suspect,
    message: String,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Decision {
    /// This thread makes this call.
    Call(usize, Box<Claim>, Pass),
    /// One more thread would be of use.
    Hire,
    /// Nobody calls until this moment, or until a call that is in flight has ended.
    Wait(Option<Duration>),
    /// No job is left to be claimed.
    Nothing,
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
            next_up: None,
            held_back: Vec::new(),
            held_ids: HashSet::new(),
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
        spent: &[crate::governor::Spent],
        now: Duration,
        jobs: u64,
    ) {
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

    /// The moments from which the first and the last of the jobs that wait may be called; the first one only where
    /// nothing but such jobs is left.
    pub(super) fn due(&self) -> (Option<Duration>, Duration) {
        let only = self.governor.limit() == Limit::Work;
        let next = only.then(|| self.dealer.next_due()).flatten();
        (next, self.dealer.last_due())
    }

    /// Takes note of what became of a call.
    pub(super) fn learn(&mut self, pass: Pass, news: News<'_>, now: Duration) -> Lesson {
        self.governor.learn(pass, news, now, fastrand::f64())
    }

    /// Keeps a job from being called until it is known whether it is to blame.
    pub(super) fn hold_back(
        &mut self,
        attempt: AttemptId,
        path: FileName,
        suspect: Suspect,
        message: &str,
    ) {
        self.held_ids.insert(attempt.job);
        self.held_back.push(HeldBack {
            attempt,
            path,
            suspect,
            message: message.to_owned(),
        });
    }

    /// The jobs that were held back for a suspicion that has been cleared: they are to blame themselves.
    pub(super) fn blame(&mut self, cleared: impl Fn(Suspect) -> bool) -> Vec<HeldBack> {
        let (blamed, held) = std::mem::take(&mut self.held_back)
            .into_iter()
            .partition(|held| cleared(held.suspect));
        self.held_back = held;
        for held in &blamed as &Vec<HeldBack> {
            self.held_ids.remove(&held.attempt.job);
        }
        blamed
    }

    /// How many jobs are held back.
    pub(super) fn suspects(&self) -> u64 {
        self.held_back.len() as u64
    }

    /// Nothing is left but what was held back: the jobs that fail now. There are none where the run stops
    /// instead, for nothing was accepted at all.
    pub(super) fn settle_suspicion(&mut self) -> Vec<HeldBack> {
        let Some(last) = self.held_back.last() else {
            return Vec::new();
        };
        let message = last.message.clone();
        if self.governor.settle_suspicion(&message) {
            self.blame(|_| true)
        } else {
            self.blame(|suspect| suspect == Suspect::Disk)
        }
    }

    /// Takes note of where a job went.
    pub(super) fn finished(&mut self, state: JobState) {
        match state {
            JobState::Done => self.governor.finished(false),
            JobState::Failed => self.governor.finished(true),
            JobState::Pending | JobState::Running | JobState::Held => {}
        }
    }

    /// What keeps everybody from calling at `now`, whichever the job; `None` if nothing does.
    pub(super) fn held_up(&mut self, now: Duration) -> Option<Decision> {
        match self.governor.ask(self.least_cost(), now, wall_clock()) {
            Verdict::Stop => Some(Decision::Stop),
            Verdict::Wait(until, _) => Some(Decision::Wait(until)),
            Verdict::Go if self.asking.is_empty() && self.can_grow() => Some(Decision::Hire),
            Verdict::Go if self.asking.is_empty() => {
                self.governor.all_busy(self.threads);
                Some(Decision::Wait(None))
            }
            Verdict::Go => None,
        }
    }

    fn can_grow(&self) -> bool {
        self.grows && self.threads < self.governor.width()
    }

    /// What the next call takes at the least of the rates.
    fn least_cost(&self) -> Cost {
        self.next_up.map_or_else(Cost::default, |(_, cost)| cost)
    }

    /// The next call to make at `now`; its claim is part of `group`.
    pub(super) fn next(
        &mut self,
        group: &mut Group<'_>,
        now: Duration,
    ) -> Result<Decision, StoreError> {
        if let Some(wait) = self.held_up(now) {
            return Ok(wait);
        }
        let Some(&thread) = self.asking.front() else {
            return Ok(Decision::Wait(None));
        };
        loop {
            let (job, cost) = match self.next_up.take() {
                Some(next) => next,
                None => match self.dealer.deal(thread, now) {
                    Deal::Job(job) if self.held_ids.contains(&job) => continue,
                    Deal::Job(job) => (job, self.cost(group, job)?),
                    Deal::Look(from) => {
                        let limit = self.dealer.page();
                        let page = group.offer(from, limit, self.longest_wait)?;
                        self.dealer.offer(from, &page, page.len() == limit, now);
                        continue;
                    }
                    Deal::Wait(due) => {
                        self.governor.no_work();
                        return Ok(Decision::Wait(Some(due)));
                    }
                    Deal::Nothing => {
                        self.governor.no_work();
                        return Ok(Decision::Nothing);
                    }
                },
            };
            if cost != Cost::default()
                && let Verdict::Wait(until, _) = self.governor.ask(cost, now, wall_clock())
            {
                self.next_up = Some((job, cost));
                return Ok(Decision::Wait(until));
            }
            // A job that is no longer pending has been taken care of by somebody else.
            if let Some(claim) = group.claim(job, thread, cost)? {
                self.asking.pop_front();
                let pass = self.governor.admit(cost, now);
                return Ok(Decision::Call(thread, Box::new(claim), pass));
            }
        }
    }

    /// What a call takes of the rates. A file that cannot be looked at takes one call of nothing: its call will
    /// say why.
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
