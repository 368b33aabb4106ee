//! Who may call now, and for which job: the threads that ask, the gate, the pace and the dealer together.

use std::collections::VecDeque;
use std::time::Duration;

use super::dealer::{Deal, Dealer};
use crate::job::{JobId, Position};
use crate::pace::{Closed, Gate, Pacer, Pass, Sign};
use crate::store::{Claim, Group, StoreError};

/// Decides about claims. Time is an argument, counted from the beginning of the run.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Threads that ask for a job, the longest waiting first.
    asking: VecDeque<usize>,
    dealer: Dealer,
    gate: Gate,
    pacer: Option<Pacer>,
    /// The longest wait that a stored moment may ask for.
    longest_wait: Duration,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Decision {
    /// This thread makes this call.
    Call(usize, Box<Claim>, Pass),
    /// Nobody calls until this moment, or until a call that is in flight has ended.
    Wait(Option<Duration>),
    /// No job is left to be claimed.
    Nothing,
}

impl Schedule {
    /// A schedule for so many threads, all of which ask, on a list of so many jobs.
    pub(super) fn new(
        threads: usize,
        jobs: u64,
        pacer: Option<Pacer>,
        longest_wait: Duration,
    ) -> Self {
        Self {
            asking: (0..threads).collect(),
            dealer: Dealer::new(threads, jobs),
            gate: Gate::default(),
            pacer,
            longest_wait,
        }
    }

    /// Takes note that a thread is free.
    pub(super) fn ask(&mut self, thread: usize) {
        self.asking.push_back(thread);
    }

    /// Takes note that a job is to be called again.
    pub(super) fn put_back(&mut self, job: JobId, position: Position, due: Duration) {
        self.dealer.put_back(job, position, due);
    }

    /// Takes note of what became of a call.
    pub(super) fn learn(&mut self, pass: Pass, sign: Sign, now: Duration) {
        self.gate.learn(pass, sign, now, fastrand::f64());
    }

    /// Why nobody may call at `now`, and until when.
    pub(super) fn closed(&self, now: Duration) -> Option<(Closed, Duration)> {
        self.gate.closed(now)
    }

    /// What keeps everybody from calling at `now`, whichever the job; `None` if nothing does.
    pub(super) fn held_up(&self, now: Duration) -> Option<Decision> {
        if self.asking.is_empty() {
            return Some(Decision::Wait(None));
        }
        let Some(open) = self.gate.ready_at() else {
            return Some(Decision::Wait(None));
        };
        let ready = self
            .pacer
            .as_ref()
            .map_or(open, |pacer| pacer.ready_at().max(open));
        (now < ready).then_some(Decision::Wait(Some(ready)))
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
            let job = match self.dealer.deal(thread, now) {
                Deal::Job(job) => job,
                Deal::Look(from) => {
                    let limit = self.dealer.page();
                    let page = group.offer(from, limit, self.longest_wait)?;
                    self.dealer.offer(from, &page, page.len() == limit, now);
                    continue;
                }
                Deal::Wait(due) => return Ok(Decision::Wait(Some(due))),
                Deal::Nothing => return Ok(Decision::Nothing),
            };
            // A job that is no longer pending has been taken care of by somebody else.
            if let Some(claim) = group.claim(job, thread)? {
                self.asking.pop_front();
                if let Some(pacer) = &mut self.pacer {
                    pacer.take(now);
                }
                return Ok(Decision::Call(thread, Box::new(claim), self.gate.pass()));
            }
        }
    }
}
