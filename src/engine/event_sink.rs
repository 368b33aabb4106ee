//! Event delivery: emits each event after its commit, and reports what limits the run.

use std::cell::{Cell, RefCell};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use super::schedule::Schedule;
use crate::event::{Counts, Event, Flow, Settled, Shut, Storage};
use crate::governor::LimitedBy;
use crate::job::{JobState, Lane, Outcome};
use crate::store::{Claim, Settlement};

/// Interval between [`Event::Flow`] events.
const FLOW_EVERY: Duration = Duration::from_millis(500);

/// Events buffered for a slow listener; beyond this they are dropped.
const MOST_BUFFERED: usize = 65_536;

pub(super) struct EventSink {
    events: SyncSender<Vec<Event>>,
    /// The lanes of the run's pool; none without one.
    lanes: Vec<Lane>,
    /// Events since the last flush, so that a group wakes the listener once.
    buffered: RefCell<Vec<Event>>,
    /// Events dropped since the listener last took some.
    missed: Cell<u64>,
    /// Latest counts of the run.
    counts: Cell<Counts>,
    /// Latest state emitted in [`Event::Gate`].
    last_gate: Cell<Option<(LimitedBy, Duration)>>,
    last_flow: Duration,
    /// Message of the latest call that was throttled or failed to connect.
    last_refusal: String,
}

impl EventSink {
    pub(super) fn new(events: SyncSender<Vec<Event>>, lanes: Vec<Lane>) -> Self {
        Self {
            events,
            lanes,
            buffered: RefCell::default(),
            missed: Cell::default(),
            counts: Cell::default(),
            last_gate: Cell::default(),
            last_flow: Duration::ZERO,
            last_refusal: "the service asked for a wait".to_owned(),
        }
    }

    /// Buffers an event for the next [`Self::flush`].
    pub(super) fn emit(&self, event: Event) {
        self.buffered.borrow_mut().push(event);
    }

    /// Sends the buffered events. The run never waits for its listener, because the store has everything that counts.
    pub(super) fn flush(&self) {
        let mut buffered = self.buffered.borrow_mut();
        if buffered.is_empty() {
            return;
        }
        if let Some(missed) = self.missed_event() {
            buffered.insert(0, missed);
        }
        let Err(TrySendError::Full(mut kept)) = self.events.try_send(std::mem::take(&mut buffered))
        else {
            self.missed.set(0);
            return;
        };
        if self.missed.get() > 0 {
            kept.remove(0);
        }
        if kept.len() > MOST_BUFFERED {
            self.missed.set(self.missed.get() + kept.len() as u64);
            self.last_gate.set(None);
            kept.clear();
        }
        *buffered = kept;
    }

    fn missed_event(&self) -> Option<Event> {
        let (events, counts) = (self.missed.get(), self.counts.get());
        (events > 0).then_some(Event::Missed { events, counts })
    }

    pub(super) fn set_counts(&self, counts: Counts) {
        self.counts.set(counts);
    }

    /// Emits an event about the database at once, because the next step may take long.
    pub(super) fn storage(&self, storage: Storage) {
        self.emit(Event::Storage(storage));
        self.flush();
    }

    pub(super) fn claimed(&self, slot: usize, claim: &Claim) {
        self.emit(Event::Claimed {
            path: claim.job.path.clone(),
            position: claim.job.position,
            attempt: claim.attempt.id,
            step: claim.attempt.step,
            key: claim.attempt.key,
            chunk: slot,
            lane: self.lane(claim),
        });
    }

    fn lane(&self, claim: &Claim) -> Option<Lane> {
        self.lanes.get(usize::from(claim.attempt.lane)).cloned()
    }

    pub(super) fn settled(&self, claim: Claim, settlement: &Settlement, state: JobState) {
        let lane = self.lane(&claim);
        let failure = settlement.outcome.failure();
        let status = match &settlement.outcome {
            Outcome::NotReady { status, .. } => *status,
            outcome => match outcome.answer() {
                Some(answer) => answer.status,
                None => failure.and_then(|failure| failure.status),
            },
        };
        self.emit(Event::Settled(Box::new(Settled {
            path: claim.job.path,
            attempt: claim.attempt.id,
            step: claim.attempt.step,
            key: claim.attempt.key,
            outcome: settlement.outcome.as_str(),
            class: failure.map(|failure| failure.class),
            status,
            message: failure.map(|failure| failure.message.clone()),
            sha256: settlement.checksum,
            price: settlement.price,
            state,
            took: settlement.took,
            lane,
        })));
    }

    /// Remembers the message of a failed call for [`Event::Gate`].
    pub(super) fn note_refusal(&mut self, message: &str) {
        message.clone_into(&mut self.last_refusal);
    }

    /// Emits [`Event::Gate`] on a change, and [`Event::Flow`] at intervals.
    pub(super) fn emit_flow(&mut self, schedule: &Schedule, pending: u64, now: Duration) {
        // A stopping run does not wait for a gate.
        let stops = schedule.governor.halt().is_some();
        let closed = schedule.governor.closed(now).filter(|_| !stops);
        if closed != self.last_gate.replace(closed) {
            self.emit(Event::Gate(closed.map(|(why, until)| Shut {
                why,
                wait: until.saturating_sub(now),
                message: self.last_refusal.clone(),
            })));
        }
        if pending > 0 && now >= self.last_flow + FLOW_EVERY {
            self.last_flow = now;
            self.emit(Event::Flow(flow(schedule, pending, now)));
        }
    }
}

impl Drop for EventSink {
    /// Sends the rest. Everything is recorded, so the listener may take its time.
    fn drop(&mut self) {
        let mut buffered: Vec<Event> = self.missed_event().into_iter().collect();
        buffered.append(&mut self.buffered.borrow_mut());
        if !buffered.is_empty() {
            let _ = self.events.send(buffered);
        }
    }
}

/// Returns what limits the run at `now`.
pub(super) fn flow(schedule: &Schedule, pending: u64, now: Duration) -> Flow {
    let governor = &schedule.governor;
    let (next_due, last_due) = schedule.due();
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let from_now = |moment: Duration| ms(moment) - ms(now);
    let closed = governor.closed(now);
    let why = closed.map_or(governor.limited_by(), |(why, _)| why);
    let next_due = next_due.filter(|due| why == LimitedBy::NoWork && *due > now);
    let finish = governor.finish(pending, now).max(last_due);
    let finish = finish.saturating_sub(now);
    Flow {
        why,
        moment: why.moment().or(next_due).map(from_now),
        finish: (pending > 0).then_some(finish),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_slow_listener_gets_the_number_of_missed_events() {
        let (sender, listener) = sync_channel(1);
        let sink = EventSink::new(sender, Vec::new());
        let emit = |times: usize| {
            (0..times).for_each(|_| sink.emit(Event::Tick));
            sink.flush();
        };
        emit(1);
        for _ in 0..3 {
            emit(MOST_BUFFERED / 2);
        }
        let counts = Counts {
            done: 7,
            ..Counts::default()
        };
        sink.set_counts(counts);
        assert_eq!(listener.recv().unwrap().len(), 1);
        emit(1);
        let events = listener.recv().unwrap();
        assert_eq!(events.len(), 2);
        match events[0] {
            Event::Missed { events, counts } => {
                assert_eq!((events, counts.done), (3 * MOST_BUFFERED as u64 / 2, 7));
            }
            ref other => panic!("{other:?}"),
        }
        // Reported once.
        emit(1);
        assert_eq!(listener.recv().unwrap().len(), 1);
    }
}
