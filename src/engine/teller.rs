//! Telling what happened: every event, after its commit, and what limits the run.

use std::cell::RefCell;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::schedule::Schedule;
use crate::event::{Counts, Ending, Event, Flow, Halt, Settled, Shut, Storage};
use crate::governor::Why;
use crate::job::{AttemptId, FileName, JobState, Outcome};
use crate::settings::Settings;
use crate::store::{Claim, Settlement};

/// How often it is told what limits the run.
const FLOW_EVERY: Duration = Duration::from_millis(500);

pub(super) struct Teller {
    events: SyncSender<Vec<Event>>,
    /// What happened since the last time, so that the listener is woken once for a group.
    untold: RefCell<Vec<Event>>,
    /// What was last told of the gate.
    gate_told: Option<(Why, Duration)>,
    flow_told: Duration,
    /// What the last call that was held off came to.
    last_refusal: String,
}

impl Teller {
    pub(super) fn new(events: SyncSender<Vec<Event>>) -> Self {
        Self {
            events,
            untold: RefCell::default(),
            gate_told: None,
            flow_told: Duration::ZERO,
            last_refusal: "the service has asked for it".to_owned(),
        }
    }

    /// Takes note of an event, to be told with the next [`Self::flush`].
    fn tell(&self, event: Event) {
        self.untold.borrow_mut().push(event);
    }

    /// Tells what happened. A run whose listener is gone goes on all the same: what counts is in the store.
    pub(super) fn flush(&self) {
        let untold = std::mem::take(&mut *self.untold.borrow_mut());
        if !untold.is_empty() {
            let _ = self.events.send(untold);
        }
    }

    pub(super) fn stopping(&self, in_flight: usize, halt: Option<&Halt>) {
        self.tell(Event::Stopping {
            in_flight,
            halt: halt.cloned(),
        });
    }

    pub(super) fn storage(&self, storage: Storage) {
        self.tell(Event::Storage(storage));
        // What comes now may take long.
        self.flush();
    }

    pub(super) fn stopped(&self, ending: &Ending, counts: Counts) {
        self.tell(Event::Stopped {
            ending: ending.clone(),
            counts,
        });
    }

    pub(super) fn changed(&self, settings: &Settings) {
        self.tell(Event::Changed(Box::new(settings.clone())));
    }

    pub(super) fn put_last(&self, path: FileName) {
        self.tell(Event::PutLast(path));
    }

    pub(super) fn gave_up(&self, attempt: AttemptId, path: FileName) {
        self.tell(Event::GaveUp { path, attempt });
    }

    pub(super) fn claimed(&self, thread: usize, claim: &Claim) {
        self.tell(Event::Claimed {
            path: claim.job.path.clone(),
            position: claim.job.position,
            attempt: claim.attempt.id,
            key: claim.attempt.key,
            chunk: thread,
        });
    }

    pub(super) fn settled(&self, claim: Claim, settlement: &Settlement, state: JobState) {
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

    /// Takes note of the words of a call that failed.
    pub(super) fn refusal(&mut self, words: &str) {
        words.clone_into(&mut self.last_refusal);
    }

    /// Tells of the gate when it has changed, and now and then of what limits the run.
    pub(super) fn flow(&mut self, schedule: &Schedule, pending: u64, now: Duration) {
        // A run that stops waits for nothing.
        let stops = schedule.governor.halt().is_some();
        let closed = schedule.governor.closed(now).filter(|_| !stops);
        if closed != self.gate_told {
            self.gate_told = closed;
            self.tell(Event::Gate(closed.map(|(why, until)| Shut {
                why,
                wait: until.saturating_sub(now),
                message: self.last_refusal.clone(),
            })));
        }
        if pending > 0 && now >= self.flow_told + FLOW_EVERY {
            self.flow_told = now;
            self.tell(Event::Flow(flow(schedule, pending, now)));
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The reason why the run goes no faster at `now`.
pub(super) fn flow(schedule: &Schedule, pending: u64, now: Duration) -> Flow {
    let governor = &schedule.governor;
    let (next_due, last_due) = schedule.due();
    let from_now = |moment: Duration| {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        if moment >= now {
            ms(moment - now)
        } else {
            -ms(now - moment)
        }
    };
    let why = governor.closed(now).map_or(governor.why(), |(why, _)| why);
    let next_due = next_due.filter(|due| why == Why::Work && *due > now);
    let finish = governor.finish(pending, now).max(last_due);
    let finish = finish.saturating_sub(now);
    Flow {
        why,
        moment: why.moment().or(next_due).map(from_now),
        finish: (pending > 0).then_some(finish),
    }
}
