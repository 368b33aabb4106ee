//! The writer thread owns the store. It gathers reports, commits settlements and claims as one transaction, and only
//! then hands out claims and emits events. While it syncs one group, the next one gathers.

mod complete;
mod end;
mod watch;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::clock;
use super::error::RunError;
use super::event_sink::{EventSink, flow};
use super::message::{Message, Report, Urgency};
use super::quarantine::Quarantined;
use super::run_outcome::RunOutcome;
use super::schedule::{Decision, Schedule, StoppedLane};
use super::slot_pool::SlotPool;
use crate::caller::Cancel;
use crate::event::{Ending, Event, Halt, Storage};
use crate::governor::{LimitedBy, StopReason};
use crate::job::{AttemptId, FileName, JobId, JobState};
use crate::limits::Cost;
use crate::retry::RetryPolicy;
use crate::settings::Settings;
use crate::store::{Group, Store, StoreError};

/// Time for aborted calls to report their own outcome.
const ABORT_PATIENCE: Duration = Duration::from_millis(300);

/// Most settlements, and most claims, in one transaction. Many share a sync; few enough let one group's calls run while
/// the next group is recorded.
const MOST_IN_GROUP: usize = 128;

/// Longest wait between checks of the clock, the disk and the settings. The machine may have slept, or another
/// process may have changed the settings.
const CHECK_EVERY: Duration = Duration::from_millis(400);

pub(super) struct Writer<'s> {
    store: &'s mut Store,
    inbox: Receiver<Message>,
    slots: SlotPool<'s>,
    schedule: Schedule,
    sink: EventSink,
    cancel: Cancel,
    policy: RetryPolicy,
    settings: Settings,
    /// Time of the latest check of settings and disk.
    checked: Duration,
    /// Largest answer so far, in bytes.
    largest: u64,
    /// Moment since when the disk has too little room.
    no_room: Option<Duration>,
    /// Size of the WAL at which to report it next.
    large_log: u64,
    /// Limit that was stored last, and the moment.
    noted: Option<(LimitedBy, Duration)>,
    phase: Phase,
    ending: Ending,
    /// Jobs whose call a stop cut off.
    cut_off: Vec<FileName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// No new claims. At this moment, if there is one, the calls in flight are dropped.
    Draining(Option<Duration>),
    /// The calls in flight are cancelled. At this moment they are abandoned.
    Aborting(Duration),
}

/// The writer's next step after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    /// Wait for a message, at most until this moment.
    Until(Option<Duration>),
    /// Nothing is left to do.
    End,
}

/// The consequences of completed calls for other jobs, and for the usage.
#[derive(Debug, Default)]
struct Consequences {
    /// Quarantined jobs that are at fault.
    at_fault: Vec<Quarantined>,
    /// Jobs to refund for an outage, once for each charge.
    excused: Vec<JobId>,
    /// Jobs that are called after all others from now on.
    put_last: Vec<FileName>,
    /// Attempts of which nothing was sent, and the charges to refund.
    unsent: Vec<(AttemptId, Cost)>,
    /// Attempts whose answer states a weight: their lane, what they were charged with, and that weight.
    weights: Vec<(AttemptId, usize, (u64, u64))>,
}

impl<'s> Writer<'s> {
    pub(super) fn new(
        store: &'s mut Store,
        settings: &Settings,
        cancel: Cancel,
        inbox: Receiver<Message>,
        slots: SlotPool<'s>,
        mut schedule: Schedule,
        sink: EventSink,
    ) -> Self {
        // All slots are free from the beginning, so that none runs ahead while others are being spawned.
        (0..slots.active()).for_each(|slot| schedule.slot_added(slot));
        Self {
            store,
            inbox,
            slots,
            schedule,
            sink,
            cancel,
            policy: settings.retry_policy(),
            settings: settings.clone(),
            checked: Duration::ZERO,
            largest: 0,
            no_room: None,
            large_log: 0,
            noted: None,
            phase: Phase::Running,
            ending: Ending::Finished,
            cut_off: Vec::new(),
        }
    }

    /// Runs until no job is left, or a stop or the first storage error ends the run. Dropping the writer closes the
    /// claim channels, which ends the slots.
    pub(super) fn run(mut self) -> Result<RunOutcome, RunError> {
        let mut reports: Vec<Report> = Vec::new();
        // Handle a stop that was asked for before the run before its first claim.
        self.gather(Some(Duration::ZERO), &mut reports);
        loop {
            let idle = self
                .check_surroundings()
                .and_then(|()| self.turn(&mut reports));
            match idle {
                Ok(Idle::Until(wake)) => self.gather(wake, &mut reports),
                Ok(Idle::End) => break,
                Err(source) => return Err(self.rescue(source, reports)),
            }
        }
        if matches!(self.ending, Ending::Halted(_)) && self.store.counts().open() == 0 {
            self.ending = Ending::Finished;
        }
        // The usage includes the time of the last wait.
        let remembered = self.remember(clock::now());
        if let Err(source) = remembered.and_then(|()| self.store.finish(&self.ending)) {
            return Err(self.rescue(source, Vec::new()));
        }
        let counts = self.store.counts();
        self.sink.emit(Event::Stopped {
            ending: self.ending.clone(),
            counts,
        });
        Ok(RunOutcome {
            ending: self.ending,
            counts,
            in_doubt: self.cut_off,
            used: self.schedule.governor.used(),
        })
    }

    /// Waits for a message, at most until `wake` or the next check, and handles all that have arrived.
    fn gather(&mut self, wake: Option<Duration>, reports: &mut Vec<Report>) {
        self.sink.flush();
        let wait = wake.map_or(CHECK_EVERY, |wake| {
            wake.saturating_sub(clock::now()).min(CHECK_EVERY)
        });
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
                // Let a driver that is about to report do so: a commit costs as much for one report as for many. If
                // no thread is runnable, this returns at once.
                std::thread::yield_now();
                next = self.inbox.try_recv().ok();
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
                self.emit_stopping(None);
            }
            (Urgency::Now, Phase::Running | Phase::Draining(_)) => {
                self.phase = Phase::Aborting(clock::now() + ABORT_PATIENCE);
                self.cancel.cancel();
            }
            _ => {}
        }
    }

    fn emit_stopping(&self, halt: Option<Halt>) {
        let in_flight = self.slots.in_flight();
        self.sink.emit(Event::Stopping { in_flight, halt });
    }

    /// Stops if the governor demands it. Calls in flight may finish.
    fn halt(&mut self) {
        if let Some(halt) = self.schedule.halt() {
            self.halt_for(halt);
        }
    }

    /// Stops a session that only submits, if nothing is left but jobs that wait for a later moment.
    fn halt_if_submitted(&mut self, now: Duration) {
        let is_over = self.store.counts().pending == 0 || !self.schedule.has_new;
        if self.settings.submit_only
            && is_over
            && self.slots.in_flight() == 0
            && let Some(due) = self.schedule.next_due().filter(|due| *due > now)
        {
            self.halt_for(Halt {
                reason: StopReason::Submitted(due - now),
                words: String::new(),
            });
        }
    }

    fn halt_for(&mut self, halt: Halt) {
        if self.phase == Phase::Running {
            self.phase = Phase::Draining(None);
            if self.slots.in_flight() > 0 {
                self.emit_stopping(Some(halt.clone()));
            }
            self.ending = Ending::Halted(halt);
        }
    }

    /// Settles reports and claims jobs in one transaction, then emits the events. Reports that could not be settled
    /// stay in `reports`.
    fn turn(&mut self, reports: &mut Vec<Report>) -> Result<Idle, StoreError> {
        let now = clock::now();
        match self.phase {
            Phase::Draining(Some(end)) if now >= end => self.stop(Urgency::Now),
            Phase::Aborting(end) if now >= end => return self.abandon(reports),
            _ => {}
        }
        let counts = self.store.counts();
        let may_go_on = self.schedule.has_steps && counts.running > 0;
        let has_reads = match self.schedule.governor.ends_writes() {
            true => counts.waiting > 0 && self.store.has_waiting_reads()?,
            false => counts.waiting > 0,
        };
        (self.schedule.governor).set_submitted(has_reads || may_go_on);
        if reports.is_empty() {
            let held_up = match self.phase {
                Phase::Running => self.schedule.held_up(now),
                _ => Some(Decision::Wait(None)),
            };
            if let Some(decision) = held_up
                && !matches!(decision, Decision::SpawnSlot)
            {
                self.note_reason(now)?;
                return Ok(self.rest(decision, now));
            }
        }
        let settled = reports.len().min(MOST_IN_GROUP);
        self.schedule
            .governor
            .set_remaining(counts.open() + counts.running);
        let mut consequences = Consequences::default();
        for report in &mut reports[..settled] {
            self.complete(report, now, &mut consequences);
        }
        let schedule = &mut self.schedule;
        let mut group = begin(self.store, &self.sink)?;
        let mut states = Vec::with_capacity(settled);
        for report in &reports[..settled] {
            let state = group.settle(&report.settlement)?;
            let failed_before = report.claim.record.failed_before;
            schedule.finished(report.claim.job.id, failed_before, state);
            if state == JobState::Done {
                group.count_result(report.claim.attempt.lane.into());
            }
            states.push(state);
        }
        let mut ended = schedule.end_lanes(&mut group, now)?;
        let mut bound = schedule.hold_bound(&mut group)?;
        for (attempt, cost) in consequences.unsent {
            group.give_back_usage(attempt, cost)?;
        }
        for (attempt, lane, weights) in consequences.weights {
            group.settle_weight(attempt, lane, weights)?;
        }
        // Do this before any claim, or a job that just left quarantine would be called again.
        let mut is_refunded = !consequences.excused.is_empty();
        (schedule.quarantine).refund(&mut group, consequences.excused)?;
        let mut failed = Vec::new();
        schedule.fail_quarantined(&mut group, consequences.at_fault, &mut failed)?;
        let mut calls = Vec::new();
        let mut decision = loop {
            if self.phase != Phase::Running {
                break Decision::Wait(None);
            }
            if calls.len() >= MOST_IN_GROUP {
                // More jobs may be claimable at once.
                break Decision::Wait(Some(now));
            }
            let in_flight = self.slots.in_flight() + calls.len();
            match schedule.next(&mut group, in_flight, now)? {
                Decision::Call(slot, claim, permit) => calls.push((slot, *claim, permit)),
                Decision::Excuse(lane) => {
                    let excused = schedule.excuse(lane, now);
                    is_refunded |= !excused.is_empty();
                    schedule.quarantine.refund(&mut group, excused)?;
                }
                Decision::FailQuarantined(cause, lane) => {
                    let is_cause = |other| other == cause;
                    let at_fault = schedule.quarantine.release_at_fault(lane, is_cause);
                    schedule.fail_quarantined(&mut group, at_fault, &mut failed)?;
                }
                Decision::SpawnSlot => {
                    spawn_slot(&mut self.slots, schedule);
                }
                decision => break decision,
            }
        };
        // Keep no permit over a wait, because it counts as a call.
        schedule.give_permit_back();
        let alone = calls.is_empty() && self.slots.in_flight() == 0;
        // In a sample, files that were not drawn are pending too.
        let only_quarantined = group.counts().open() == schedule.quarantine.len()
            || matches!(decision, Decision::Nothing);
        if alone && self.phase == Phase::Running && only_quarantined {
            let at_fault = schedule.resolve_quarantine();
            schedule.fail_quarantined(&mut group, at_fault, &mut failed)?;
            let refused = schedule.end_lanes(&mut group, now)?;
            if !refused.is_empty() {
                // Other lanes call the files that these have refused.
                decision = Decision::Wait(Some(now));
            }
            ended.extend(refused);
            bound.extend(schedule.hold_bound(&mut group)?);
        }
        let is_unchanged = states.is_empty() && calls.is_empty() && failed.is_empty();
        if is_unchanged && !is_refunded && ended.is_empty() && bound.is_empty() {
            drop(group);
            self.note_reason(now)?;
        } else {
            let left = group.counts().open();
            let flow = flow(schedule, left, now);
            group.remember(&schedule.governor.checkpoint(now), &flow)?;
            group.commit()?;
            self.noted = Some((flow.why, now));
        }
        self.sink.set_counts(self.store.counts());
        for (report, state) in reports.drain(..settled).zip(states) {
            self.sink.settled(report.claim, &report.settlement, state);
        }
        for path in consequences.put_last {
            self.sink.emit(Event::PutLast(path));
        }
        for StoppedLane {
            lane,
            reason,
            words,
            left,
        } in ended
        {
            self.sink.emit(Event::LaneStopped {
                lane,
                halt: Halt { reason, words },
                left,
            });
        }
        if !bound.is_empty() {
            let counts = self.store.counts();
            self.sink.emit(Event::Recounted { counts });
        }
        let failed = failed.into_iter().map(|held| {
            let from = match held.is_waiting {
                true => JobState::Waiting,
                false => JobState::Pending,
            };
            (held.path, held.attempt, from, JobState::Failed)
        });
        let bound = bound.into_iter();
        let bound = bound.map(|held| (held.path, held.attempt, held.from, JobState::Held));
        for (path, attempt, from, state) in failed.chain(bound) {
            self.sink.emit(Event::GaveUp {
                path,
                attempt,
                state,
                from,
            });
        }
        for (slot, claim, permit) in calls {
            self.sink.claimed(slot, &claim);
            self.slots.send(slot, claim, permit);
        }
        self.slots.flush();
        match self.rest(decision, now) {
            Idle::Until(_) if !reports.is_empty() => Ok(Idle::Until(Some(now))),
            idle => Ok(idle),
        }
    }

    /// Returns what to wait for until the next turn.
    fn rest(&mut self, decision: Decision, now: Duration) -> Idle {
        let open = self.store.counts().open();
        // A budget that the last file used up stops nothing.
        if open > 0 {
            self.halt();
            self.halt_if_submitted(now);
        }
        self.sink.emit_flow(&self.schedule, open, now);
        // After the last job, a closed gate delays no call.
        let nothing_left = matches!(decision, Decision::Nothing) || open == 0;
        if self.slots.in_flight() == 0 && (self.phase != Phase::Running || nothing_left) {
            if self.phase != Phase::Running || open == 0 || !self.store.is_recounted() {
                return Idle::End;
            }
            // Another process has brought files back: load them now.
            self.checked = Duration::ZERO;
            return Idle::Until(Some(now));
        }
        match (self.phase, decision) {
            (Phase::Draining(end), _) => Idle::Until(end),
            (Phase::Aborting(end), _) => Idle::Until(Some(end)),
            (Phase::Running, Decision::Wait(until)) => Idle::Until(until),
            (Phase::Running, _) => Idle::Until(None),
        }
    }
}

/// Begins a transaction, and emits events while another process keeps the database locked.
fn begin<'s>(store: &'s mut Store, sink: &EventSink) -> Result<Group<'s>, StoreError> {
    store.group_patiently(&mut |waited| sink.storage(Storage::Busy(waited)))
}

/// Spawns one more slot. Returns false if it cannot be set up: the run continues with the others.
fn spawn_slot(slots: &mut SlotPool<'_>, schedule: &mut Schedule) -> bool {
    let slot = slots.spawn().ok();
    match slot {
        Some(slot) => schedule.slot_added(slot),
        None => schedule.stop_growing(),
    }
    slot.is_some()
}
