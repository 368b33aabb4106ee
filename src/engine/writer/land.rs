//! The end of a call: what the governor learns from it, and what becomes of its job.

use std::time::Duration;

use super::Writer;
use crate::engine::crew::Flight;
use crate::engine::message::{Report, Urgency};
use crate::engine::schedule::HeldBack;
use crate::engine::signal::signal;
use crate::event::Ending;
use crate::governor::{Ended, Fate, Refusal, Signal, Suspect};
use crate::job::{AttemptId, CauseKey, Class, Failure, FileName, JobState, Outcome, said};
use crate::limits::Cost;
use crate::retry::{MAY_KILL, Next};

impl Writer<'_> {
    /// Takes note of an ended call, in memory, and decides about its job.
    pub(super) fn land(&mut self, report: &mut Report, now: Duration) -> Landed {
        let mut landed = Landed::default();
        if let Outcome::Succeeded(answer) = &report.settlement.outcome {
            self.largest = self.largest.max(answer.body.len());
        }
        let thread = report.thread;
        if let Some(flight) = self.crew.land(thread) {
            landed = self.learn(flight, report, now);
        }
        let job = &report.claim.job;
        if report.panicked {
            self.ending = Ending::Panicked(job.path.clone());
            self.stop(Urgency::Drain);
        } else if thread < self.settings.threads.most() {
            self.schedule.ask(thread);
        }
        if self.cancel.is_cancelled() && matches!(report.settlement.outcome, Outcome::InDoubt(_)) {
            self.cut_off.push(job.path.clone());
        }
        landed
    }

    /// Lets the governor learn from an ended call, and does with its job what follows.
    fn learn(&mut self, flight: Flight, report: &mut Report, now: Duration) -> Landed {
        let Report {
            claim, settlement, ..
        } = report;
        let words = settlement.outcome.failure().map(words).unwrap_or_default();
        let watches = self.schedule.governor.watches_slips();
        let cause = |failure: &Failure| {
            if watches {
                cause_of(failure, &claim.job.path)
            } else {
                0
            }
        };
        let signal = signal(&settlement.outcome, cause);
        let cost = flight.permit.cost();
        let lesson = self.schedule.governor.ended(
            flight.permit,
            Ended {
                file: claim.job.id,
                failed_before: claim.record.failed_before,
                signal,
                hint: settlement.outcome.hint(),
                took: settlement.took,
            },
            now,
        );
        self.schedule.note_words(&words);
        match signal {
            Signal::Accepted => self.schedule.note_read(claim.job.file.clone()),
            Signal::Refused { .. }
            | Signal::Failed
            | Signal::Unreachable
            | Signal::Refusal(Refusal::Tls | Refusal::Name | Refusal::Proxy) => {
                self.teller.refusal(&words);
            }
            _ => {}
        }
        let mut landed = Landed {
            blamed: self.schedule.blame(|suspect| lesson.clears(suspect)),
            excused: Vec::new(),
            put_last: None,
            is_unsent: !signal.is_sent(),
            cost,
        };
        // Decided by a person or by the answer itself, whatever it says about the service.
        let is_final = matches!(settlement.next, Next::Done | Next::Hold);
        let (mut held, mut last) = (None, false);
        let charged = settlement.record.charged > claim.record.charged;
        let later = |moment: Duration| Next::Again(moment.saturating_sub(now));
        match lesson.fate {
            _ if is_final => {}
            Fate::ByPolicy => {}
            Fate::HoldBack(suspect) => held = Some(suspect),
            Fate::Defer(suspect) => {
                if charged {
                    self.schedule.note_charged(settlement.attempt);
                }
                held = (settlement.next == Next::Fail).then_some(suspect);
            }
            Fate::Again(moment) | Fate::AgainLast(moment, _) => {
                settlement.next = later(moment);
                settlement.record.charged = claim.record.charged;
                if let Fate::AgainLast(_, is_first) = lesson.fate {
                    last = true;
                    landed.put_last = is_first.then(|| claim.job.path.clone());
                }
            }
            Fate::Charge(moment, defers) => {
                if !charged {
                    let charged = self.policy.charge(settlement.record, fastrand::f64());
                    (settlement.next, settlement.record) = charged;
                }
                if defers {
                    self.schedule.note_charged(settlement.attempt);
                }
                match settlement.next {
                    Next::Again(wait) => {
                        settlement.next = Next::Again(wait.max(moment.saturating_sub(now)));
                    }
                    _ if defers => held = Some(Suspect::Outage),
                    _ => {}
                }
            }
            Fate::Reject => {
                reject(&mut settlement.outcome);
                settlement.next = Next::Fail;
            }
        }
        let position = claim.job.position;
        if let Some(suspect) = held {
            settlement.next = Next::Again(Duration::ZERO);
            self.schedule.hold_back(HeldBack {
                attempt: settlement.attempt,
                path: claim.job.path.clone(),
                position,
                failed_before: claim.record.failed_before,
                suspect,
                words,
            });
        } else if let Next::Again(wait) = settlement.next {
            let crashes = settlement.record.crashes;
            if crashes >= MAY_KILL {
                self.schedule.put_alone(claim.job.id, crashes, now + wait);
            } else if last {
                self.schedule.put_last(claim.job.id, now + wait);
            } else {
                self.schedule.put_back(claim.job.id, position, now + wait);
            }
        }
        if lesson.outage {
            landed.excused = self.schedule.excuse(now);
        }
        landed
    }
}

/// The consequences of an ended call for other jobs, and for the usage.
#[derive(Debug, Default)]
pub(super) struct Landed {
    /// Jobs that turn out to be to blame for their failure.
    pub(super) blamed: Vec<HeldBack>,
    /// Attempts that were charged in an outage.
    pub(super) excused: Vec<AttemptId>,
    /// The job, where it is called after all others from now on.
    pub(super) put_last: Option<FileName>,
    /// Nothing was sent: it takes nothing of rates and budgets.
    pub(super) is_unsent: bool,
    pub(super) cost: Cost,
}

/// A failure in the service's own words.
fn words(failure: &Failure) -> String {
    match said(&failure.body) {
        said if said.is_empty() || failure.message.contains(&said) => failure.message.clone(),
        said => format!("{}: {said}", failure.message),
    }
}

/// A number that is the same for rejections of the same cause.
fn cause_of(failure: &Failure, job: &FileName) -> u64 {
    let key = CauseKey {
        state: JobState::Failed,
        class: Some(failure.class),
        kind: Some(failure.kind.to_owned()),
        status: failure.status,
        gist: String::new(),
    };
    let id = key.with_words(job, &failure.message, &failure.body).id();
    u64::from_str_radix(&id, 16).unwrap_or_default()
}

/// Makes a rejection of a refusal: the service takes other files, and refuses this one again and again.
fn reject(outcome: &mut Outcome) {
    if let Outcome::Throttled { failure, .. } = outcome {
        let failure = Failure {
            class: Class::Rejected,
            kind: "refused_again_and_again",
            message: format!(
                "{}, again and again while other files were accepted",
                failure.message
            ),
            ..failure.clone()
        };
        *outcome = Outcome::Failed(failure);
    }
}
