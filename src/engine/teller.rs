//! Telling what happened: every event, after its commit, and what limits the run.

use std::cell::{Cell, RefCell};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use super::schedule::Schedule;
use crate::event::{Counts, Ending, Event, Flow, Halt, Settled, Shut, Storage};
use crate::governor::Why;
use crate::job::{AttemptId, FileName, JobState, Outcome};
use crate::settings::Settings;
use crate::store::{Claim, Settlement};

/// How often it is told what limits the run.
const FLOW_EVERY: Duration = Duration::from_millis(500);

/// So many events may wait for a slow listener. Beyond that they are dropped.
const MOST_UNTOLD: usize = 65_536;

pub(super) struct Teller {
    events: SyncSender<Vec<Event>>,
    /// What happened since the last time, so that the listener is woken once for a group.
    untold: RefCell<Vec<Event>>,
    /// How many events were dropped since the listener took the last one.
    missed: Cell<u64>,
    /// Where the run stands.
    counts: Cell<Counts>,
    /// What was last told of the gate.
    gate_told: Cell<Option<(Why, Duration)>>,
    flow_told: Duration,
    /// What the last call that was held off came to.
    last_refusal: String,
}

impl Teller {
    pub(super) fn new(events: SyncSender<Vec<Event>>) -> Self {
        Self {
            events,
            untold: RefCell::default(),
            missed: Cell::default(),
            counts: Cell::default(),
            gate_told: Cell::default(),
            flow_told: Duration::ZERO,
            last_refusal: "the service has asked for it".to_owned(),
        }
    }

    /// Takes note of an event, to be told with the next [`Self::flush`].
    fn tell(&self, event: Event) {
        self.untold.borrow_mut().push(event);
    }

    /// Tells what happened. A run whose listener is gone or slow goes on all the same: what counts is in the store.
    pub(super) fn flush(&self) {
        let mut untold = self.untold.borrow_mut();
        if untold.is_empty() {
            return;
        }
        if let Some(missed) = self.told_of_missed() {
            untold.insert(0, missed);
        }
        let Err(TrySendError::Full(mut kept)) = self.events.try_send(std::mem::take(&mut untold))
        else {
            self.missed.set(0);
            return;
        };
        if self.missed.get() > 0 {
            kept.remove(0);
        }
        if kept.len() > MOST_UNTOLD {
            self.missed.set(self.missed.get() + kept.len() as u64);
            self.gate_told.set(None);
            kept.clear();
        }
        *untold = kept;
    }

    fn told_of_missed(&self) -> Option<Event> {
        let (events, counts) = (self.missed.get(), self.counts.get());
        (events > 0).then_some(Event::Missed { events, counts })
    }

    /// Takes note of where the run stands.
    pub(super) fn stands(&self, counts: Counts) {
        self.counts.set(counts);
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
        self.tell(Event::GaveUp {
            path,
            attempt,
            state: JobState::Failed,
        });
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
        if closed != self.gate_told.replace(closed) {
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
    /// Tells the last of it. All is recorded by now, so that the listener may take its time.
    fn drop(&mut self) {
        let mut untold: Vec<Event> = self.told_of_missed().into_iter().collect();
        untold.append(&mut self.untold.borrow_mut());
        if !untold.is_empty() {
            let _ = self.events.send(untold);
        }
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::job::JobId;

    #[test]
    fn a_listener_that_takes_nothing_is_told_later_how_much_it_missed() {
        let (sender, listener) = sync_channel(1);
        let teller = Teller::new(sender);
        let attempt = AttemptId {
            job: JobId(1),
            number: 1,
        };
        let tell = |times: usize| {
            (0..times).for_each(|_| teller.gave_up(attempt, FileName::from("a")));
            teller.flush();
        };
        tell(1);
        for _ in 0..3 {
            tell(MOST_UNTOLD / 2);
        }
        let counts = Counts {
            done: 7,
            ..Counts::default()
        };
        teller.stands(counts);
        assert_eq!(listener.recv().unwrap().len(), 1);
        tell(1);
        let told = listener.recv().unwrap();
        assert_eq!(told.len(), 2);
        match told[0] {
            Event::Missed { events, counts } => {
                assert_eq!((events, counts.done), (3 * MOST_UNTOLD as u64 / 2, 7));
            }
            ref other => panic!("{other:?}"),
        }
        // Told once.
        tell(1);
        assert_eq!(listener.recv().unwrap().len(), 1);
    }
}
