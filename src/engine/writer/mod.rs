//! The writer thread: the one owner of the store, and so of every decision that becomes durable. It gathers
//! what waits, commits it as one transaction, settlements first, and only then hands out claims and tells what
//! happened. While one group is being synced the next one gathers.

mod end;
mod land;
mod look;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::clock;
use super::crew::Crew;
use super::error::RunError;
use super::message::{Message, Report, Urgency};
use super::outline::Outline;
use super::schedule::{Decision, HeldBack, Schedule};
use super::teller::{Teller, flow};
use crate::caller::Cancel;
use crate::event::{Ending, Storage};
use crate::governor::Why;
use crate::job::FileName;
use crate::retry::RetryPolicy;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// How long calls that are dropped have to say themselves what became of them.
const ABORT_PATIENCE: Duration = Duration::from_millis(300);

/// The most settlements, and the most claims, in one transaction. Many enough to share a sync; few enough that the calls
/// of one group are under way while the next one is recorded, where there are thousands of threads.
const MOST_IN_GROUP: usize = 128;

/// No wait is longer than this: the clock is read again, for the machine may have slept meanwhile, and so are
/// the settings, which somebody may have changed.
const LOOK: Duration = Duration::from_millis(400);

pub(super) struct Writer<'s> {
    store: &'s mut Store,
    inbox: Receiver<Message>,
    crew: Crew<'s>,
    schedule: Schedule,
    teller: Teller,
    cancel: Cancel,
    policy: RetryPolicy,
    settings: Settings,
    /// When the settings and the disk were last looked at.
    looked: Duration,
    /// The largest answer that has come, in bytes.
    largest: u64,
    /// Since when there is too little room on the disk.
    no_room: Option<Duration>,
    /// At which size the log beside the database is worth the next word.
    large_log: u64,
    /// Why the run goes no faster, as it was written down last, and when.
    noted: Option<(Why, Duration)>,
    phase: Phase,
    ending: Ending,
    /// The jobs whose call a stop cut off.
    cut_off: Vec<FileName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// No new claims. At this moment, if there is one, the calls in flight are dropped.
    Draining(Option<Duration>),
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
        crew: Crew<'s>,
        mut schedule: Schedule,
        teller: Teller,
    ) -> Self {
        // All threads ask from the beginning, so that none runs ahead while another is still being made.
        (0..crew.working()).for_each(|thread| schedule.hired(thread));
        Self {
            store,
            inbox,
            crew,
            schedule,
            teller,
            cancel,
            policy: settings.retry_policy(),
            settings: settings.clone(),
            looked: Duration::ZERO,
            largest: 0,
            no_room: None,
            large_log: 0,
            noted: None,
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
            let idle = self.look_around().and_then(|()| self.turn(&mut reports));
            match idle {
                Ok(Idle::Until(wake)) => self.gather(wake, &mut reports),
                Ok(Idle::End) => break,
                Err(source) => return Err(self.rescue(source, reports)),
            }
        }
        if matches!(self.ending, Ending::Halted(_)) && self.store.counts().pending == 0 {
            self.ending = Ending::Finished;
        }
        // The time of a last wait counts as well.
        let remembered = self.remember(clock::now());
        if let Err(source) = remembered.and_then(|()| self.store.finish(&self.ending)) {
            return Err(self.rescue(source, Vec::new()));
        }
        let counts = self.store.counts();
        self.teller.stopped(&self.ending, counts);
        Ok(Outline {
            ending: self.ending,
            counts,
            in_doubt: self.cut_off,
        })
    }

    /// Waits for something to happen and takes in all that has.
    fn gather(&mut self, wake: Option<Duration>, reports: &mut Vec<Report>) {
        self.teller.flush();
        let wait = wake.map_or(LOOK, |wake| wake.saturating_sub(clock::now()).min(LOOK));
        let mut next = match self.inbox.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        };
        let mut waited = false;
        while let Some(message) = next {
            match message {
                Message::Reports(more) => reports.extend(more),
                Message::Stop(urgency) => self.stop(urgency),
            }
            if reports.len() >= MOST_IN_GROUP {
                return;
            }
            next = self.inbox.try_recv().ok();
            if next.is_none() && !std::mem::replace(&mut waited, true) {
                // Whoever is about to report and waits only for a processor may do so: a commit costs as much for one
                // as for many. Where nobody is, this takes no time.
                std::thread::yield_now();
                next = self.inbox.try_recv().ok();
            }
        }
    }

    /// Makes one more thread. Where the system has no more to give, those that there are have to do.
    fn hire(&mut self) -> bool {
        match self.crew.hire() {
            Ok(thread) => {
                self.schedule.hired(thread);
                true
            }
            Err(_) => {
                self.schedule.grow_no_more();
                false
            }
        }
    }

    fn stop(&mut self, urgency: Urgency) {
        if self.ending == Ending::Finished {
            self.ending = Ending::Stopped;
        }
        match (urgency, self.phase) {
            (Urgency::Drain, Phase::Running | Phase::Draining(None)) => {
                self.phase = Phase::Draining(Some(clock::now() + self.settings.grace));
                self.teller.stopping(self.crew.in_flight(), None);
            }
            (Urgency::Now, Phase::Running | Phase::Draining(_)) => {
                self.phase = Phase::Aborting(clock::now() + ABORT_PATIENCE);
                self.cancel.cancel();
            }
            _ => {}
        }
    }

    /// Stops because the governor says so: what is in flight may come to its own end.
    fn halt(&mut self) {
        let Some(halt) = self.schedule.halt() else {
            return;
        };
        if self.phase == Phase::Running {
            self.phase = Phase::Draining(None);
            if self.crew.in_flight() > 0 {
                self.teller.stopping(self.crew.in_flight(), Some(&halt));
            }
            self.ending = Ending::Halted(halt);
        }
    }

    /// Settles what was reported and claims what may be called, in one transaction; then tells of both. What could not
    /// be settled stays in `reports`.
    fn turn(&mut self, reports: &mut Vec<Report>) -> Result<Idle, StoreError> {
        let now = clock::now();
        match self.phase {
            Phase::Draining(Some(end)) if now >= end => self.stop(Urgency::Now),
            Phase::Aborting(end) if now >= end => return self.write_off(reports),
            _ => {}
        }
        if reports.is_empty() {
            let held_up = match self.phase {
                Phase::Running => self.schedule.held_up(now),
                _ => Some(Decision::Wait(None)),
            };
            if let Some(decision) = held_up
                && !matches!(decision, Decision::Hire)
            {
                self.note(now)?;
                return Ok(self.rest(decision, now));
            }
        }
        let settled = reports.len().min(MOST_IN_GROUP);
        let counts = self.store.counts();
        self.schedule
            .governor
            .set_left(counts.pending + counts.running);
        let (mut blamed, mut excused, mut unsent) = (Vec::new(), Vec::new(), Vec::new());
        let mut put_last = Vec::new();
        for report in &mut reports[..settled] {
            let landed = self.land(report, now);
            blamed.extend(landed.blamed);
            excused.extend(landed.excused);
            put_last.extend(landed.put_last);
            if landed.is_unsent {
                unsent.push((report.settlement.attempt, landed.cost));
            }
        }
        let Self {
            store,
            schedule,
            teller,
            ..
        } = self;
        let mut group =
            store.group_patiently(&mut |waited| teller.storage(Storage::Busy(waited)))?;
        let mut states = Vec::with_capacity(settled);
        for report in &reports[..settled] {
            let state = group.settle(&report.settlement)?;
            let failed_before = report.claim.record.failed_before;
            schedule.finished(report.claim.job.id, failed_before, state);
            states.push(state);
        }
        for (attempt, cost) in unsent {
            group.give_back_usage(attempt, cost)?;
        }
        for attempt in excused {
            group.give_back_charge(attempt)?;
        }
        // Before any claim: a job that is no longer held back would be called once more.
        let mut given_up = Vec::new();
        self.schedule.give_up(&mut group, blamed, &mut given_up)?;
        let mut calls = Vec::new();
        let decision = loop {
            if self.phase != Phase::Running {
                break Decision::Wait(None);
            }
            if calls.len() >= MOST_IN_GROUP {
                // There may be more to claim, and at once.
                break Decision::Wait(Some(now));
            }
            match self
                .schedule
                .next(&mut group, self.crew.in_flight() + calls.len(), now)?
            {
                Decision::Call(thread, claim, permit) => calls.push((thread, *claim, permit)),
                Decision::Excuse => {
                    for attempt in self.schedule.excuse(now) {
                        group.give_back_charge(attempt)?;
                    }
                }
                Decision::Blame(suspect) => {
                    let blamed = self.schedule.blame(|other| other == suspect);
                    self.schedule.give_up(&mut group, blamed, &mut given_up)?;
                }
                Decision::Hire => match self.crew.hire() {
                    Ok(thread) => self.schedule.hired(thread),
                    Err(_) => self.schedule.grow_no_more(),
                },
                decision => break decision,
            }
        };
        // A permit is not kept over a wait: it counts as a call.
        self.schedule.give_permit_back();
        // Whatever the pace would say to another call, there is none to make.
        let alone = calls.is_empty() && self.crew.in_flight() == 0;
        let suspects = self.schedule.suspects();
        // In a sample, files that were not drawn are pending too.
        let only_suspects =
            group.counts().pending == suspects || matches!(decision, Decision::Nothing);
        if alone && self.phase == Phase::Running && only_suspects {
            let blamed = self.schedule.settle();
            self.schedule.give_up(&mut group, blamed, &mut given_up)?;
        }
        if states.is_empty() && calls.is_empty() && given_up.is_empty() {
            drop(group);
            self.note(now)?;
        } else {
            let left = group.counts().pending;
            let flow = flow(&self.schedule, left, now);
            group.remember(&self.schedule.governor.memory(now), &flow)?;
            group.commit()?;
            self.noted = Some((flow.why, now));
        }
        self.teller.stands(self.store.counts());
        for (report, state) in reports.drain(..settled).zip(states) {
            self.teller.settled(report.claim, &report.settlement, state);
        }
        for path in put_last {
            self.teller.put_last(path);
        }
        for HeldBack { attempt, path, .. } in given_up {
            self.teller.gave_up(attempt, path);
        }
        for (thread, claim, permit) in calls {
            self.teller.claimed(thread, &claim);
            self.crew.send(thread, claim, permit);
        }
        self.crew.flush();
        match self.rest(decision, now) {
            Idle::Until(_) if !reports.is_empty() => Ok(Idle::Until(Some(now))),
            idle => Ok(idle),
        }
    }

    /// What to do until the next turn.
    fn rest(&mut self, decision: Decision, now: Duration) -> Idle {
        let pending = self.store.counts().pending;
        // A budget that is used up by the last file stops nothing.
        if pending > 0 {
            self.halt();
        }
        self.teller.flow(&self.schedule, pending, now);
        // The pace and the gate may be closed when the last job has ended, and hold up nobody.
        let nothing_left = matches!(decision, Decision::Nothing) || pending == 0;
        if self.crew.in_flight() == 0 && (self.phase != Phase::Running || nothing_left) {
            return Idle::End;
        }
        match (self.phase, decision) {
            (Phase::Draining(end), _) => Idle::Until(end),
            (Phase::Aborting(end), _) => Idle::Until(Some(end)),
            (Phase::Running, Decision::Wait(until)) => Idle::Until(until),
            (Phase::Running, _) => Idle::Until(None),
        }
    }
}
