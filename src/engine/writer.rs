//! The writer thread: the one owner of the store, and so of every decision that becomes durable. It gathers
//! what waits, commits it as one transaction, settlements first, and only then hands out claims and tells what
//! happened. While one group is being synced the next one gathers.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use super::schedule::{Decision, Schedule};
use super::{Outline, RunError, Urgency};
use crate::caller::Cancel;
use crate::event::{Ending, Event, Settled, Shut};
use crate::job::{Class, Failure, FileName, JobState, Outcome};
use crate::pace::{Closed, Pacer, Pass, Sign};
use crate::retry::{Next, RetryPolicy};
use crate::settings::Settings;
use crate::store::{Claim, Settlement, Store, StoreError};

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A call came to something, and its thread is free.
    Report(Box<Report>),
    /// Somebody asks for a stop.
    Stop(Urgency),
}

/// What a chunk thread reports of a call.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) thread: usize,
    pub(super) claim: Claim,
    pub(super) settlement: Settlement,
    /// The caller panicked, and its thread has ended.
    pub(super) panicked: bool,
}

/// How long calls that are dropped have to say themselves what became of them.
const ABORT_PATIENCE: Duration = Duration::from_millis(300);

/// The most settlements in one transaction.
const MOST_IN_GROUP: usize = 1024;

pub(super) struct Writer<'s> {
    store: &'s mut Store,
    inbox: Receiver<Message>,
    threads: Vec<Thread>,
    in_flight: usize,
    schedule: Schedule,
    events: SyncSender<Event>,
    /// What was last told of the gate.
    gate_told: Option<(Closed, Duration)>,
    /// What the last call that closed it came to.
    last_refusal: String,
    cancel: Cancel,
    policy: RetryPolicy,
    grace: Duration,
    began: Instant,
    phase: Phase,
    ending: Ending,
    /// The jobs whose call a stop cut off.
    cut_off: Vec<FileName>,
}

struct Thread {
    claims: Sender<Claim>,
    flight: Option<Flight>,
}

/// A call in flight: its claim, and what it took through the gate.
struct Flight {
    claim: Claim,
    pass: Pass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// No new claims. At this moment the calls in flight are dropped.
    Draining(Duration),
    /// The calls in flight are dropped. At this moment they are written off.
    Aborting(Duration),
}

/// What to do between two turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    /// Wait for a message, at most until this moment.
    Until(Option<Duration>),
    /// Nothing is left to do.
    End,
}

impl<'s> Writer<'s> {
    pub(super) fn new(
        store: &'s mut Store,
        settings: &Settings,
        cancel: Cancel,
        inbox: Receiver<Message>,
        claims: Vec<Sender<Claim>>,
        events: SyncSender<Event>,
    ) -> Self {
        let policy = settings.retry_policy();
        let pacer = settings.rate.map(Pacer::new);
        // All threads ask from the beginning, so that none runs ahead while another is still being made.
        let schedule = Schedule::new(claims.len(), store.counts().total, pacer, policy.max_delay);
        Self {
            store,
            inbox,
            threads: claims
                .into_iter()
                .map(|claims| Thread {
                    claims,
                    flight: None,
                })
                .collect(),
            in_flight: 0,
            schedule,
            events,
            gate_told: None,
            last_refusal: String::new(),
            cancel,
            policy,
            grace: settings.grace,
            began: Instant::now(),
            phase: Phase::Running,
            ending: Ending::Finished,
            cut_off: Vec::new(),
        }
    }

    /// Works until nothing is left, or a stop or the first storage error ends it. Dropping the writer drops
    /// the claims' senders, and that ends the chunk threads.
    pub(super) fn run(mut self) -> Result<Outline, RunError> {
        let mut reports: Vec<Report> = Vec::new();
        // A stop that was asked for before the run comes before its first claim.
        self.gather(Some(Duration::ZERO), &mut reports);
        loop {
            let answered =
                |report: &&Report| matches!(report.settlement.outcome, Outcome::Succeeded(_));
            let unsaved = reports.iter().filter(answered).count();
            match self.turn(std::mem::take(&mut reports)) {
                Ok(Idle::Until(wake)) => self.gather(wake, &mut reports),
                Ok(Idle::End) => break,
                Err(source) => return Err(self.failed(source, unsaved)),
            }
        }
        if let Err(source) = self.store.finish(&self.ending) {
            return Err(self.failed(source, 0));
        }
        let counts = self.store.counts();
        self.tell(Event::Stopped {
            ending: self.ending.clone(),
            counts,
        });
        Ok(Outline {
            ending: self.ending,
            counts,
            in_doubt: self.cut_off,
        })
    }

    /// Ends on a storage error. The first one is final: whatever is still in flight is dropped.
    fn failed(&self, source: StoreError, unsaved: usize) -> RunError {
        self.cancel.cancel();
        RunError::Store {
            source,
            unsaved,
            in_flight: self.in_flight,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits for something to happen and takes in all that has.
    fn gather(&mut self, wake: Option<Duration>, reports: &mut Vec<Report>) {
        let first = match wake {
            None => self
                .inbox
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(wake) => self.inbox.recv_timeout(wake.saturating_sub(self.now())),
        };
        let Ok(first) = first else { return };
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Report(report) => reports.push(*report),
                Message::Stop(urgency) => self.stop(urgency),
            }
            next = if reports.len() < MOST_IN_GROUP {
                self.inbox.try_recv().ok()
            } else {
                None
            };
        }
    }

    fn stop(&mut self, urgency: Urgency) {
        if self.ending == Ending::Finished {
            self.ending = Ending::Stopped;
        }
        match (urgency, self.phase) {
            (Urgency::Drain, Phase::Running) => {
                self.phase = Phase::Draining(self.now() + self.grace);
                self.tell(Event::Stopping {
                    in_flight: self.in_flight,
                });
            }
            (Urgency::Now, Phase::Running | Phase::Draining(_)) => {
                self.phase = Phase::Aborting(self.now() + ABORT_PATIENCE);
                self.cancel.cancel();
            }
            _ => {}
        }
    }

    /// Settles what was reported and claims what may be called, in one transaction; then tells of both.
    fn turn(&mut self, reports: Vec<Report>) -> Result<Idle, StoreError> {
        let now = self.now();
        match self.phase {
            Phase::Draining(end) if now >= end => self.stop(Urgency::Now),
            Phase::Aborting(end) if now >= end => return self.write_off(reports),
            _ => {}
        }
        let held_up = self.schedule.held_up(now);
        if reports.is_empty() && (self.phase != Phase::Running || held_up.is_some()) {
            self.tell_gate(now);
            return Ok(self.idle(held_up));
        }
        for report in &reports {
            self.land(report, now);
        }
        let mut group = self.store.group()?;
        let mut states = Vec::with_capacity(reports.len());
        for report in &reports {
            states.push(group.settle(&report.settlement)?);
        }
        let mut calls = Vec::new();
        let decision = loop {
            if self.phase != Phase::Running {
                break None;
            }
            match self.schedule.next(&mut group, now)? {
                Decision::Call(thread, claim, pass) => calls.push((thread, *claim, pass)),
                decision => break Some(decision),
            }
        };
        if states.is_empty() && calls.is_empty() {
            drop(group);
        } else {
            group.commit()?;
        }
        for (report, state) in reports.into_iter().zip(states) {
            self.tell_settled(report.claim, &report.settlement, state);
        }
        for (thread, claim, pass) in calls {
            self.take_off(thread, claim, pass);
        }
        self.tell_gate(now);
        Ok(self.idle(decision))
    }

    /// What to do until the next turn.
    fn idle(&self, decision: Option<Decision>) -> Idle {
        let nothing_left = || {
            // The pace and the gate may be closed when the last job has ended, and hold up nobody.
            matches!(decision, Some(Decision::Nothing)) || self.store.counts().pending == 0
        };
        if self.in_flight == 0 && (self.phase != Phase::Running || nothing_left()) {
            return Idle::End;
        }
        match (self.phase, decision) {
            (Phase::Draining(end) | Phase::Aborting(end), _) => Idle::Until(Some(end)),
            (Phase::Running, Some(Decision::Wait(until))) => Idle::Until(until),
            (Phase::Running, _) => Idle::Until(None),
        }
    }

    /// Takes note of an ended call, in memory.
    fn land(&mut self, report: &Report, now: Duration) {
        let Report {
            thread,
            claim,
            settlement,
            panicked,
        } = report;
        if let Some(flight) = self.threads[*thread].flight.take() {
            self.in_flight -= 1;
            self.schedule
                .learn(flight.pass, sign(&settlement.outcome), now);
        }
        if let Outcome::Throttled { failure, .. } | Outcome::Unreachable(failure) =
            &settlement.outcome
        {
            self.last_refusal.clone_from(&failure.message);
        }
        if let Next::Again(wait) = settlement.next {
            self.schedule
                .put_back(claim.job.id, claim.job.position, now + wait);
        }
        if *panicked {
            self.ending = Ending::Panicked(claim.job.path.clone());
            self.stop(Urgency::Drain);
        } else {
            self.schedule.ask(*thread);
        }
        if self.cancel.is_cancelled() && matches!(settlement.outcome, Outcome::InDoubt(_)) {
            self.cut_off.push(claim.job.path.clone());
        }
    }

    /// Lets a thread call: the claim is durable.
    fn take_off(&mut self, thread: usize, claim: Claim, pass: Pass) {
        self.in_flight += 1;
        self.threads[thread].flight = Some(Flight {
            claim: claim.clone(),
            pass,
        });
        self.tell(Event::Claimed {
            path: claim.job.path.clone(),
            position: claim.job.position,
            attempt: claim.attempt.id,
            key: claim.attempt.key,
            chunk: thread,
        });
        // A thread ends only after a panic, and one that panicked does not ask.
        let _ = self.threads[thread].claims.send(claim);
    }

    /// Ends a stop that is not waiting any longer: what is still in flight is in doubt, in one transaction.
    fn write_off(&mut self, reports: Vec<Report>) -> Result<Idle, StoreError> {
        let now = self.now();
        for report in &reports {
            self.land(report, now);
        }
        let flights: Vec<Claim> = self
            .threads
            .iter_mut()
            .filter_map(|thread| thread.flight.take())
            .map(|flight| flight.claim)
            .collect();
        let lost = flights.into_iter().map(|claim| {
            let (next, record) = self.policy.after_stop(claim.record);
            let failure = Failure::new(
                Class::Transient,
                "stopped",
                "stopped before the answer came",
            );
            let outcome = Outcome::InDoubt(failure);
            let attempt = claim.attempt.id;
            (
                claim,
                Settlement {
                    attempt,
                    outcome,
                    checksum: None,
                    took: Duration::ZERO,
                    next,
                    record,
                },
            )
        });
        let lost: Vec<(Claim, Settlement)> = lost.collect();
        self.cut_off
            .extend(lost.iter().map(|(claim, _)| claim.job.path.clone()));
        let settled: Vec<(Claim, Settlement)> = reports
            .into_iter()
            .map(|report| (report.claim, report.settlement))
            .chain(lost)
            .collect();
        let mut group = self.store.group()?;
        let mut states = Vec::with_capacity(settled.len());
        for (_, settlement) in &settled {
            states.push(group.settle(settlement)?);
        }
        group.commit()?;
        for ((claim, settlement), state) in settled.into_iter().zip(states) {
            self.tell_settled(claim, &settlement, state);
        }
        Ok(Idle::End)
    }

    fn tell_settled(&self, claim: Claim, settlement: &Settlement, state: JobState) {
        let failure = settlement.outcome.failure();
        let status = match &settlement.outcome {
            Outcome::Succeeded(answer) => answer.status,
            outcome => outcome.failure().and_then(|failure| failure.status),
        };
        self.tell(Event::Settled(Box::new(Settled {
            path: claim.job.path,
            attempt: claim.attempt.id,
            key: claim.attempt.key,
            outcome: settlement.outcome.as_str(),
            class: failure.map(|failure| failure.class),
            status,
            message: failure.map(|failure| failure.message.clone()),
            sha256: settlement.checksum,
            state,
            took: settlement.took,
        })));
    }

    fn tell_gate(&mut self, now: Duration) {
        let closed = self.schedule.closed(now);
        if closed != self.gate_told {
            self.gate_told = closed;
            self.tell(Event::Gate(closed.map(|(why, until)| Shut {
                why,
                wait: until.saturating_sub(now),
                message: self.last_refusal.clone(),
            })));
        }
    }

    /// Tells an event. A run whose listener is gone goes on all the same: what counts is in the store.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// How a call bears on the gate.
fn sign(outcome: &Outcome) -> Sign {
    match outcome {
        Outcome::Succeeded(_) | Outcome::Failed(_) | Outcome::InDoubt(_) => Sign::Reached,
        Outcome::Throttled { wait, .. } => Sign::Throttled(*wait),
        Outcome::Unreachable(_) => Sign::Unreachable,
        Outcome::Unsendable(_) | Outcome::Interrupted => Sign::Nothing,
    }
}
